import { CodelabError, fromWireError } from '../errors.ts';
import { createStreamQueue, type StreamQueueOptions } from '../stream-queue.ts';

const QUEUE_BYTES = 4 * 1024 * 1024;

/** Has the callbacks that tRPC's client takes for a subscription. */
export interface StreamObserver<T> {
  onData(value: T): void;
  onError(error: unknown): void;
  onComplete(): void;
  onConnectionStateChange(state: { state: 'idle' | 'connecting' | 'pending' }): void;
}

export interface RpcStreamOptions<T> extends Omit<StreamQueueOptions<T>, 'limitBytes'> {
  /** Ends the stream. */
  signal?: AbortSignal | undefined;
  /** Milliseconds that the other end may be out of reach. */
  lostAfterMs: number;
  /** Makes the error of a stream whose other end was out of reach for too long. */
  unreachable(): CodelabError;
}

/** Reads one subscription of tRPC's until it ends, fails or `signal` aborts. Throws the other end's `CodelabError`, or `unreachable()`. */
export async function* readRpcStream<T>(
  subscribe: (observer: StreamObserver<T>) => { unsubscribe(): void },
  { signal, lostAfterMs, unreachable, ...queueing }: RpcStreamOptions<T>,
): AsyncGenerator<T, void, undefined> {
  if (signal?.aborted) return;
  const queue = createStreamQueue<T>({ ...queueing, limitBytes: QUEUE_BYTES });
  let lost: ReturnType<typeof setTimeout> | undefined;
  const subscription = subscribe({
    onData: (value) => queue.push(value),
    onError: (error) => queue.fail(fromRpcError(error) ?? unreachable()),
    onComplete: () => queue.end(),
    onConnectionStateChange: ({ state }) => {
      if (state === 'pending') {
        clearTimeout(lost);
        lost = undefined;
      } else lost ??= setTimeout(() => queue.fail(unreachable()), lostAfterMs);
    },
  });
  const stop = () => queue.end();
  signal?.addEventListener('abort', stop);
  try {
    yield* queue;
  } finally {
    clearTimeout(lost);
    signal?.removeEventListener('abort', stop);
    subscription.unsubscribe();
  }
}

/** Returns the error that the other end sent, or undefined where only the connection failed. */
export function fromRpcError(error: unknown): CodelabError | undefined {
  if (error instanceof CodelabError) return error;
  // By its name: this package imports nothing of tRPC's.
  if (!(error instanceof Error) || error.name !== 'TRPCClientError') return undefined;
  const { data } = error as { data?: unknown };
  // It may have answered, but not as one of ours.
  return (
    fromWireError(data, error) ?? (data == null ? undefined : new CodelabError('INTERNAL', undefined, { cause: error }))
  );
}
