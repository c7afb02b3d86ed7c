/** A queue between one writer that doesn't wait and one reader. llm-proxy's push-to-pull.ts is another thing: its writer waits. */
export interface StreamQueue<T> extends AsyncIterable<T> {
  push(value: T): void;
  /** Ends the stream after what was pushed. */
  end(): void;
  /** Ends the stream with an error, after what was pushed. */
  fail(error: unknown): void;
}

/** The most that waits between two services, or for a client. */
export const QUEUE_BYTES = 4 * 1024 * 1024;

export interface MergeQueueOptions<T> {
  /** Returns the size of a value, in bytes. */
  size: (value: T) => number;
  /** The most that may wait, in bytes. */
  limitBytes: number;
  /** Returns two neighbours as one, or undefined where they don't merge. */
  merge?: ((earlier: T, later: T) => T | undefined) | undefined;
}

/** Values that wait, neighbours merged. */
export interface MergeQueue<T> {
  /** Adds a value. Returns false, and drops all that waits, where that is over the limit. */
  push(value: T): boolean;
  readonly isEmpty: boolean;
  /** Takes the oldest value. */
  shift(): T | undefined;
}

export function createMergeQueue<T>({ size, limitBytes, merge }: MergeQueueOptions<T>): MergeQueue<T> {
  let waiting: Array<T | undefined> = [];
  let head = 0;
  let bytes = 0;
  const drop = () => {
    waiting = [];
    head = 0;
    bytes = 0;
  };
  return {
    push(value) {
      const last = waiting.length > head ? waiting[waiting.length - 1] : undefined;
      const merged = last === undefined ? undefined : merge?.(last, value);
      if (merged === undefined) {
        waiting.push(value);
        bytes += size(value);
      } else {
        waiting[waiting.length - 1] = merged;
        bytes += size(merged) - size(last as T);
      }
      if (bytes <= limitBytes) return true;
      drop();
      return false;
    },
    get isEmpty() {
      return head === waiting.length;
    },
    shift() {
      if (head === waiting.length) return undefined;
      const value = waiting[head] as T;
      waiting[head++] = undefined;
      bytes -= size(value);
      if (head === waiting.length) drop();
      return value;
    },
  };
}

export interface StreamQueueOptions<T> extends MergeQueueOptions<T> {
  /** Called when the writer goes over the limit: what waits is dropped, and the reader gets the result as its error. */
  onOverflow: () => unknown;
}

export function createStreamQueue<T>(options: StreamQueueOptions<T>): StreamQueue<T> {
  const waiting = createMergeQueue(options);
  let closed: { error?: unknown } | undefined;
  let wake: (() => void) | undefined;
  const close = (how: { error?: unknown }) => {
    closed ??= how;
    wake?.();
  };

  return {
    push(value) {
      if (closed !== undefined) return;
      // What waits goes too: the reader resumes from its cursor, and memory is freed now.
      if (!waiting.push(value)) close({ error: options.onOverflow() });
      wake?.();
    },
    end: () => close({}),
    fail: (error) => close({ error }),
    async *[Symbol.asyncIterator]() {
      let withoutWait = 0;
      for (;;) {
        if (!waiting.isEmpty) {
          const value = waiting.shift() as T;
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

/**
 * Yields what `produce` pushes, until it resolves; throws what it rejects with. Its signal aborts when `signal` does, and when the reader
 * leaves early.
 */
export async function* pullFrom<T>(
  produce: (push: (value: T) => void, signal: AbortSignal) => Promise<void>,
  { signal, ...options }: StreamQueueOptions<T> & { signal: AbortSignal | undefined },
): AsyncGenerator<T, void, undefined> {
  const queue = createStreamQueue(options);
  const left = new AbortController();
  const leave = () => left.abort();
  signal?.addEventListener('abort', leave);
  if (signal?.aborted) leave();
  produce(queue.push, left.signal).then(queue.end, queue.fail);
  try {
    yield* queue;
  } finally {
    signal?.removeEventListener('abort', leave);
    leave();
  }
}

/** Runs `callback` after whatever else is due. Browsers have no setImmediate. */
const defer: (callback: () => void) => void = globalThis.setImmediate ?? ((callback) => setTimeout(callback, 0));
