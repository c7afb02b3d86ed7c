/** A queue between one writer that doesn't wait and one reader. llm-proxy's push-to-pull.ts is another thing: its writer waits. */
export interface StreamQueue<T> extends AsyncIterable<T> {
  push(value: T): void;
  /** Ends the stream after what was pushed. */
  end(): void;
  /** Ends the stream with an error, after what was pushed. */
  fail(error: unknown): void;
}

export interface StreamQueueOptions<T> {
  /** Returns the size of a value, in bytes. */
  size: (value: T) => number;
  /** The most that may wait, in bytes. */
  limitBytes: number;
  /** Called when the writer goes over the limit: what waits is dropped, and the reader gets the result as its error. */
  onOverflow: () => unknown;
  /** Returns two neighbours as one, or undefined where they don't merge. */
  merge?: (earlier: T, later: T) => T | undefined;
}

export function createStreamQueue<T>(options: StreamQueueOptions<T>): StreamQueue<T> {
  let waiting: Array<T | undefined> = [];
  let head = 0;
  let bytes = 0;
  let closed: { error?: unknown } | undefined;
  let wake: (() => void) | undefined;

  const drop = () => {
    waiting = [];
    head = 0;
    bytes = 0;
  };
  const close = (how: { error?: unknown }) => {
    closed ??= how;
    wake?.();
  };

  return {
    push(value) {
      if (closed !== undefined) return;
      const last = waiting.length > head ? waiting[waiting.length - 1] : undefined;
      const merged = last === undefined ? undefined : options.merge?.(last, value);
      if (merged === undefined) {
        waiting.push(value);
        bytes += options.size(value);
      } else {
        waiting[waiting.length - 1] = merged;
        bytes += options.size(merged) - options.size(last as T);
      }
      if (bytes > options.limitBytes) {
        // What waits goes too: the reader resumes from its cursor, and memory is freed now.
        drop();
        close({ error: options.onOverflow() });
      }
      wake?.();
    },
    end: () => close({}),
    fail: (error) => close({ error }),
    async *[Symbol.asyncIterator]() {
      let withoutWait = 0;
      for (;;) {
        if (head < waiting.length) {
          const value = waiting[head] as T;
          waiting[head++] = undefined;
          bytes -= options.size(value);
          if (head === waiting.length) drop();
          // A loop that never waits would keep everybody else from running.
          if (++withoutWait % 64 === 0) await new Promise<void>((resolve) => defer(resolve));
          yield value;
        } else if (closed !== undefined) {
          if ('error' in closed) throw closed.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          wake = undefined;
        }
      }
    },
  };
}

/** Runs `callback` after whatever else is due. Browsers have no setImmediate. */
const defer: (callback: () => void) => void = globalThis.setImmediate ?? ((callback) => setTimeout(callback, 0));
