import type { RawData, WebSocket } from 'ws';

/** Gives a message on to tRPC's adapter. */
export type PassMessage = (data: Buffer, isBinary: boolean) => void;

/**
 * Puts `take` between a socket and the listeners that are added from now on: tRPC's adapter sees only the messages that `take` passes on.
 * Replaces `socket.on`, as the adapter has no place for it; canary.test.ts notices when the adapter listens otherwise.
 */
export function interceptMessages(
  socket: WebSocket,
  take: (data: RawData, isBinary: boolean, pass: PassMessage) => void,
): void {
  const on = socket.on.bind(socket);
  socket.on = ((event: string, listener: (...args: unknown[]) => void) =>
    on(event, event === 'message' ? (data, isBinary) => take(data, isBinary, listener) : listener)) as typeof socket.on;
}
