/** The newest inputs that are known without asking the store. */
import { BoundedMap } from '@codelab/protocol';

/** How many of the newest are known without asking the store. */
const MAX_RECENT = 100;

/** Remembers the cursors at which inputs were accepted, for readers of their answers. */
export interface InputCursors {
  accepted(inputId: string, cursor: string): void;
  /** Returns undefined where it is not among the newest. */
  recent(inputId: string): string | undefined;
  /** Resolves once the input is accepted, or with undefined when `signal` aborts. */
  wait(inputId: string, signal: AbortSignal): Promise<string | undefined>;
}

export function createInputCursors(): InputCursors {
  const recent = new BoundedMap<string, string>(MAX_RECENT);
  const waiters = new Set<{ inputId: string; done: (cursor?: string) => void }>();
  return {
    accepted(inputId, cursor) {
      recent.set(inputId, cursor);
      for (const waiter of waiters) if (waiter.inputId === inputId) waiter.done(cursor);
    },
    recent: (inputId) => recent.get(inputId),
    wait: (inputId, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve(undefined);
        const onAbort = () => waiter.done();
        const waiter = {
          inputId,
          done(cursor?: string) {
            waiters.delete(waiter);
            signal.removeEventListener('abort', onAbort);
            resolve(cursor);
          },
        };
        waiters.add(waiter);
        signal.addEventListener('abort', onAbort);
      }),
  };
}
