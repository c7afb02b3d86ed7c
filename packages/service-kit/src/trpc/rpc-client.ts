import { CodelabError, createStreamQueue, flushTrpcBatch, fromWireError, transformer } from '@codelab/protocol';
import {
  createTRPCClient,
  createWSClient,
  getUntypedClient,
  type TRPCClient,
  TRPCClientError,
  wsLink,
} from '@trpc/client';
import type { AnyTRPCRouter } from '@trpc/server';
import { WebSocket } from 'ws';
import type { Logger } from '../logger.ts';

const CALL_TIMEOUT_MS = 5_000;
const RETRY_MS = 50;
const QUEUE_BYTES = 4 * 1024 * 1024;

/** The other end as a caller inside the backend sees it. */
export interface RpcClient<R extends AnyTRPCRouter> {
  /**
   * Calls a query or an idempotent mutation; where the socket is lost in the middle, calls it again.
   * Throws the other end's `CodelabError`, or `OVERLOADED` when it can't be reached within 5 s.
   */
  call<T>(run: (trpc: TRPCClient<R>, options: { signal: AbortSignal }) => Promise<T>): Promise<T>;
  /** Calls the query or mutation of that path, as `call` does. */
  callByName(type: 'query' | 'mutation', path: string, input: object): Promise<unknown>;
  /** Follows a subscription until it ends, fails, or `signal` aborts. */
  stream<T>(
    subscribe: (trpc: TRPCClient<R>, observer: StreamObserver<T>) => { unsubscribe(): void },
    options: StreamOptions<T>,
  ): AsyncGenerator<T, void, undefined>;
  close(): void;
}

export interface StreamObserver<T> {
  onData(value: T): void;
  onError(error: unknown): void;
  onComplete(): void;
  onConnectionStateChange(state: { state: 'idle' | 'connecting' | 'pending' }): void;
}

export interface StreamOptions<T> {
  signal: AbortSignal | undefined;
  /** What a value weighs, in bytes. */
  size: (value: T) => number;
  merge?: (earlier: T, later: T) => T | undefined;
  /** How long the other end may be out of reach. Milliseconds. */
  lostAfterMs: number;
  onOverflow: () => unknown;
}

export interface RpcClientOptions {
  /** `http://host:port` of the service. */
  url: string;
  key: string;
  /** Who is called, for messages. */
  name: string;
  /** Where a person sets the URL. */
  variable: string;
  log: Logger;
}

export function createRpcClient<R extends AnyTRPCRouter>(options: RpcClientOptions): RpcClient<R> {
  let reachable = true;
  const socket = createWSClient({
    url: `${options.url.replace(/^http/, 'ws')}/trpc`,
    WebSocket: socketWithKey(options.key),
    retryDelayMs: (attempt) => Math.min(50 * 2 ** attempt, 1000),
    keepAlive: { enabled: true, intervalMs: 15_000, pongTimeoutMs: 10_000 },
    lazy: { enabled: true, closeMs: 60_000 },
    onOpen: () => {
      reachable = true;
    },
    onError: () => {
      if (reachable) options.log.warn({ url: options.url }, `${options.name} cannot be reached`);
      reachable = false;
    },
  });
  // biome-ignore lint/suspicious/noExplicitAny: the link's options depend on the router's type, which is a parameter here
  const trpc = createTRPCClient<R>({ links: [wsLink({ client: socket, transformer } as any)] });
  const unreachable = () =>
    new CodelabError(
      'OVERLOADED',
      `${options.name} cannot be reached at ${options.url}. Is it running? The address is ${options.variable}.`,
      {
        retryAfterMs: 1000,
      },
    );

  const call: RpcClient<R>['call'] = async (run) => {
    const deadline = AbortSignal.timeout(CALL_TIMEOUT_MS);
    for (;;) {
      try {
        const answer = run(trpc, { signal: deadline });
        flushTrpcBatch(socket);
        return await answer;
      } catch (error) {
        const known = fromRpcError(error);
        if (known !== undefined) throw known;
        if (deadline.aborted) throw unreachable();
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  };

  return {
    call,
    callByName: (type, path, input) => call((client, options) => getUntypedClient(client)[type](path, input, options)),

    async *stream<T>(subscribe: Parameters<RpcClient<R>['stream']>[0], streaming: StreamOptions<T>) {
      const { signal } = streaming;
      if (signal?.aborted) return;
      const queue = createStreamQueue<T>({ ...streaming, limitBytes: QUEUE_BYTES });
      let lost: NodeJS.Timeout | undefined;
      const subscription = subscribe(trpc, {
        onData: (value) => queue.push(value as T),
        onError: (error) => queue.fail(fromRpcError(error) ?? unreachable()),
        onComplete: () => queue.end(),
        onConnectionStateChange: ({ state }) => {
          if (state === 'pending') {
            clearTimeout(lost);
            lost = undefined;
          } else lost ??= setTimeout(() => queue.fail(unreachable()), streaming.lostAfterMs);
        },
      });
      flushTrpcBatch(socket);
      const stop = () => queue.end();
      signal?.addEventListener('abort', stop);
      try {
        yield* queue;
      } finally {
        clearTimeout(lost);
        signal?.removeEventListener('abort', stop);
        subscription.unsubscribe();
      }
    },

    close() {
      socket.close();
    },
  };
}

/** The error that the other end sent, or undefined where only the connection failed. */
function fromRpcError(error: unknown): CodelabError | undefined {
  if (!(error instanceof TRPCClientError)) return undefined;
  const known = fromWireError(error.data, error);
  if (known !== undefined) return known;
  // It answered, but not as one of ours.
  return error.data == null ? undefined : new CodelabError('INTERNAL', undefined, { cause: error });
}

function socketWithKey(key: string) {
  return class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols, { headers: { 'x-internal-auth': key }, perMessageDeflate: false });
    }
  } as unknown as typeof globalThis.WebSocket;
}
