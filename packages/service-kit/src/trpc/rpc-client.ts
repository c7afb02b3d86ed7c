import {
  backoff,
  CodelabError,
  fromRpcError,
  type RpcStreamOptions,
  readRpcStream,
  retry,
  type StreamObserver,
  sendAtOnce,
  toTrpcUrl,
  transformer,
} from '@codelab/protocol';
import { createTRPCClient, createWSClient, getUntypedClient, type TRPCClient, wsLink } from '@trpc/client';
import type { AnyTRPCRouter } from '@trpc/server';
import { WebSocket } from 'ws';
import type { Logger } from '../logger.ts';

const CALL_TIMEOUT_MS = 5_000;
const RETRY_MS = 50;

/** Calls another service of the backend. */
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
    options: Omit<RpcStreamOptions<T>, 'unreachable'>,
  ): AsyncGenerator<T, void, undefined>;
  close(): void;
}

export interface RpcClientOptions {
  /** `http://host:port` of the service. */
  url: string;
  key: string;
  /** The other end's name, for messages. */
  name: string;
  /** The setting that has the URL. */
  variable: string;
  log: Logger;
}

export function createRpcClient<R extends AnyTRPCRouter>(options: RpcClientOptions): RpcClient<R> {
  let reachable = true;
  const socket = createWSClient({
    url: toTrpcUrl(options.url),
    WebSocket: socketWithKey(options.key),
    retryDelayMs: (attempt) => backoff(attempt, 50, 1000),
    keepAlive: { enabled: true, intervalMs: 15_000, pongTimeoutMs: 10_000 },
    lazy: { enabled: true, closeMs: 60_000 },
    onOpen: () => {
      reachable = true;
    },
    onError: () => {
      if (reachable) options.log.warn({ url: options.url, event: 'peer.lost' }, `${options.name} cannot be reached`);
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
    const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
    const ask = () => sendAtOnce(socket, () => run(trpc, { signal }));
    try {
      return await retry(ask, {
        signal,
        delayMs: (error) => (fromRpcError(error) === undefined ? RETRY_MS : undefined),
      });
    } catch (error) {
      throw fromRpcError(error) ?? unreachable();
    }
  };

  return {
    call,
    callByName: (type, path, input) => call((client, options) => getUntypedClient(client)[type](path, input, options)),

    stream: (subscribe, streaming) =>
      readRpcStream((observer) => sendAtOnce(socket, () => subscribe(trpc, observer)), { ...streaming, unreachable }),

    close() {
      socket.close();
    },
  };
}

function socketWithKey(key: string) {
  return class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols, { headers: { 'x-internal-auth': key }, perMessageDeflate: false });
    }
  } as unknown as typeof globalThis.WebSocket;
}
