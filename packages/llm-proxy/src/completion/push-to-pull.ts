import { type CancelSignal, linkedToken } from '../lib/cancel-token.ts';
import type { Deliver } from './attempt.ts';

/** Parts that may wait for a slow reader before the producer is made to wait. */
const MAX_WAITING = 64;

/**
 * Adapts a push producer to an async generator with backpressure. Ends, or throws, when `produce` does, after all that was delivered.
 * Aborts `cancel` when `signal` aborts, and when the reader leaves early.
 */
export async function* pushToPull<T>(
  produce: (deliver: Deliver<T>, cancel: CancelSignal) => Promise<void>,
  signal: CancelSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  const { token: cancel, unlink } = linkedToken(signal);
  let waiting: T[] = [];
  let isOver = false;
  let wake: (() => void) | undefined;
  let drained: (() => void) | undefined;
  const deliver: Deliver<T> = (part) => {
    waiting.push(part);
    wake?.();
    if (waiting.length < MAX_WAITING) return undefined;
    return new Promise((resolve) => {
      drained = resolve;
    });
  };
  const producing = produce(deliver, cancel).finally(() => {
    isOver = true;
    wake?.();
  });
  // Awaited below, unless the reader has left.
  producing.catch(() => {});
  try {
    while (!isOver || waiting.length > 0) {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
        continue;
      }
      const parts = waiting;
      waiting = [];
      drained?.();
      yield* parts;
    }
    await producing;
  } finally {
    unlink();
    cancel.abort();
    drained?.();
  }
}
