import { CodelabError, fromWireError } from '../errors.ts';
import { pullFrom, QUEUE_BYTES, type StreamQueueOptions } from '../stream-queue.ts';

/** Has the callbacks that tRPC's client takes for a subscription. */
export interface StreamObserver<T> {
  onData(value: T): void;
  onError(error: unknown): void;
  onComplete(): void;
  onConnectionStateChange(state: { state: 'idle' | 'connecting' | 'pending' }): void;
}

/** Begins a subscription. */
export type Subscribe<T> = (observer: StreamObserver<T>) => { unsubscribe(): void };

export interface RpcFollowOptions {
  /** Ends the stream. */
  signal?: AbortSignal | undefined;
  /** Milliseconds that the other end may be out of reach. */
  lostAfterMs: number;
  /** Makes the error of a stream whose other end was out of reach for too long. */
  unreachable(): CodelabError;
}

/**
 * Calls `onData` with each value of one subscription of tRPC's, until it ends or `signal` aborts. Rejects with the other end's
 * `CodelabError`, or with `unreachable()`.
 */
export function followRpcStream<T>(
  subscribe: Subscribe<T>,
  onData: (value: T) => void,
  { signal, lostAfterMs, unreachable }: RpcFollowOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return resolve();
    let lost: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    const end = (settle: () => void) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(lost);
      signal?.removeEventListener('abort', stop);
      subscription?.unsubscribe();
      settle();
    };
    const stop = () => end(resolve);
    const fail = (error: unknown) => end(() => reject(error));
    signal?.addEventListener('abort', stop);
    let subscription: { unsubscribe(): void } | undefined;
    subscription = subscribe({
      onData: (value) => {
        if (!isOver) onData(value);
      },
      onError: (error) => fail(fromRpcError(error) ?? unreachable()),
      onComplete: stop,
      onConnectionStateChange: ({ state }) => {
        if (state === 'pending') {
          clearTimeout(lost);
          lost = undefined;
        } else if (!isOver) lost ??= setTimeout(() => fail(unreachable()), lostAfterMs);
      },
    });
    if (isOver) subscription.unsubscribe();
  });
}

export interface RpcStreamOptions<T> extends RpcFollowOptions, Omit<StreamQueueOptions<T>, 'limitBytes'> {}

/** Reads one subscription as `followRpcStream` does: what has come waits for its reader, up to 4 MiB. */
export function readRpcStream<T>(
  subscribe: Subscribe<T>,
  { signal, lostAfterMs, unreachable, ...queueing }: RpcStreamOptions<T>,
): AsyncGenerator<T, void, undefined> {
  return pullFrom((push, left) => followRpcStream(subscribe, push, { signal: left, lostAfterMs, unreachable }), {
    ...queueing,
    signal,
    limitBytes: QUEUE_BYTES,
  });
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
