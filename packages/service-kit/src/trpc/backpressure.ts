import type { WebSocket } from 'ws';

const HIGH_WATER_BYTES = 1024 * 1024;
const STALL_MS = 30_000;
const POLL_MS = 10;
/** WebSocket close code: try again later. */
const SLOW_READER = 1013;

/** Lets a stream wait for its reader. */
export interface Backpressure {
  /** True while `writable` would wait. */
  readonly isFull: boolean;
  /** Resolves when the reader can take more. Rejects, and the reader is cut off, if it takes nothing for 30 s. */
  writable(signal?: AbortSignal): Promise<void> | undefined;
  /** Cuts the reader off: it resumes from its cursor. */
  cut(): void;
}

/**
 * Creates the backpressure of a WebSocket. `ws` has no event for `bufferedAmount`: it is polled, while a reader is slow.
 */
export function createSocketBackpressure(socket: WebSocket, stallMs = STALL_MS): Backpressure {
  const cut = () => {
    socket.close(SLOW_READER, 'too slow: reconnect and resume');
    // A reader that doesn't read doesn't read the close frame either.
    setTimeout(() => socket.terminate(), 1000).unref();
  };
  const isFull = () => socket.bufferedAmount > HIGH_WATER_BYTES;
  return {
    get isFull() {
      return isFull();
    },
    writable(signal) {
      if (!isFull()) return undefined;
      return new Promise<void>((resolve, reject) => {
        let least = socket.bufferedAmount;
        let since = Date.now();
        const timer = setInterval(() => {
          const waiting = socket.bufferedAmount;
          if (waiting <= HIGH_WATER_BYTES || signal?.aborted || socket.readyState !== socket.OPEN) {
            clearInterval(timer);
            resolve();
          } else if (waiting < least) {
            least = waiting;
            since = Date.now();
          } else if (Date.now() - since > stallMs) {
            clearInterval(timer);
            cut();
            reject(new Error('the reader took nothing for too long'));
          }
        }, POLL_MS);
      });
    },
    cut,
  };
}

/** Does nothing, for a transport that has backpressure of its own. */
export const noBackpressure: Backpressure = { isFull: false, writable: () => undefined, cut: () => {} };
