/** The most a body or a WebSocket message may have. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A WebSocket message over `MAX_BODY_BYTES` gets an error; one over this ends its connection (1009). */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** Calls in one tRPC batch. A client that reconnects sends all its subscriptions in one. */
export const MAX_BATCH = 1000;
