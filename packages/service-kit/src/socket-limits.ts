/** The most a body or a WebSocket message may have. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A WebSocket message over `MAX_BODY_BYTES` gets an error; one over this ends its connection (1009). */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** Calls in one tRPC batch over HTTP; over WebSocket each call counts as a message. */
export const MAX_BATCH = 1000;

/** Bytes and milliseconds of a socket that has shown no token yet. */
export const UNKNOWN_BYTES = 64 * 1024;
export const UNKNOWN_MS = 5_000;
/** Sockets of one address at a time that have shown no token yet. */
export const UNKNOWN_SOCKETS = 1_024;

/** Milliseconds until a request's head, and all of it, must have come. */
export const HEAD_MS = 15_000;
export const REQUEST_MS = 60_000;

/** Limits of one socket. */
export interface SocketLimits {
  /** Messages at once (each call of a batch is one), and as many more each second. */
  burst: number;
  perSecond: number;
  /** Open at a time. */
  subscriptions: number;
  calls: number;
}

/** IDEs, scripts, other agents: far more than one needs, and little enough that one cannot hold up the others. */
export const CLIENT_LIMITS: SocketLimits = {
  // A client that reconnects sends all its subscriptions at once.
  burst: 4096,
  perSecond: 1000,
  subscriptions: 4096,
  calls: 1024,
};

/** Our own services, with the service's key: one socket carries the streams of all sessions. */
export const SERVICE_LIMITS: SocketLimits = {
  burst: Number.POSITIVE_INFINITY,
  perSecond: Number.POSITIVE_INFINITY,
  subscriptions: 65_536,
  calls: 65_536,
};

/** Limits of all sockets of one address together, those of our own services left out. */
export const ADDRESS_LIMITS = {
  sockets: 5_000,
  subscriptions: 20_000,
  /** Of messages that are not whole yet. */
  bytes: 256 * 1024 * 1024,
};
