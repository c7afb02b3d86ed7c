import { setMaxListeners } from 'node:events';

/** Counts what a service is doing, so that it can stop without breaking it. */
export interface Lifecycle {
  /** Aborted when the service begins to stop: finish what runs, begin nothing. */
  readonly draining: AbortSignal;
  /** The number of pieces of work. */
  readonly active: number;
  /** Counts a piece of work that stopping waits for. Call the result when it is done; calling it twice is harmless. */
  begin(): () => void;
  /** Begins to stop. Resolves when no work is left, or after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>;
}

export function createLifecycle(): Lifecycle {
  const controller = new AbortController();
  // Every stream listens to it: many are no leak.
  setMaxListeners(0, controller.signal);
  let active = 0;
  let onIdle: (() => void) | undefined;
  return {
    draining: controller.signal,
    get active() {
      return active;
    },
    begin() {
      active++;
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        active--;
        if (active === 0) onIdle?.();
      };
    },
    async drain(timeoutMs) {
      controller.abort();
      if (active === 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}
