import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/**
 * Sends what is sent within one turn of the event loop in one write: many streams share a socket, and a write for each of their tokens would
 * cost more than all else that is done for it. Replaces `socket.send`, by which tRPC's adapter sends answers too; canary.test.ts notices
 * when it sends otherwise.
 */
export function corkWrites(socket: WebSocket, raw: Duplex): void {
  const send = socket.send.bind(socket) as (...args: unknown[]) => void;
  let isCorked = false;
  socket.send = ((...args: unknown[]) => {
    if (!isCorked) {
      isCorked = true;
      raw.cork();
      setImmediate(() => {
        isCorked = false;
        raw.uncork();
      });
    }
    send(...args);
  }) as typeof socket.send;
}
