export interface RetryOptions {
  /** Returns how many milliseconds to wait before the next attempt; undefined gives up. `attempt` counts from 0. */
  delayMs(error: unknown, attempt: number): number | undefined;
  /** Ends the waiting: no attempt begins after it aborts. */
  signal?: AbortSignal | undefined;
}

/** Calls `run` until it succeeds. Throws its last error once `delayMs` gives up or `signal` aborts. */
export async function retry<T>(run: () => Promise<T>, { delayMs, signal }: RetryOptions): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      const ms = signal?.aborted ? undefined : delayMs(error, attempt);
      if (ms === undefined) throw error;
      await pause(ms, signal);
      if (signal?.aborted) throw error;
    }
  }
}

/** Resolves after `ms` milliseconds, or once `signal` aborts. */
export function pause(ms: number, signal?: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
    if (signal?.aborted) done();
  });
}

/** Returns `firstMs`, doubled with each attempt, up to `maxMs`. */
export function backoff(attempt: number, firstMs: number, maxMs: number): number {
  return Math.min(firstMs * 2 ** attempt, maxMs);
}
