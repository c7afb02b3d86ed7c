import { type CancelSignal, CancelToken } from '../lib/cancel-token.ts';
import type { Deliver } from './attempt.ts';

/** So many parts wait before whoever delivers them is made to wait; protocol's createStreamQueue never makes its writer wait, and gives up. */
const MAX_WAITING = 64;

/**
 * What `produce` delivers, for somebody who pulls it. Ends, or throws, when `produce` does, after all that was delivered; whoever leaves
 * early, or aborts `signal`, aborts `stop`.
 */
export async function* pushToPull<T>(
  produce: (deliver: Deliver<T>, stop: CancelSignal) => Promise<void>,
  signal: CancelSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  const stop = new CancelToken();
  const abort = () => stop.abort();
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
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
  const producing = produce(deliver, stop).finally(() => {
    isOver = true;
    wake?.();
  });
  // Thrown below, by whoever is still there.
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
    signal?.removeEventListener('abort', abort);
    stop.abort();
    drained?.();
  }
}
