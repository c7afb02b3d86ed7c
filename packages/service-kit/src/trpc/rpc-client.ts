import {
  CodelabError,
  followRpcStream,
  fromRpcError,
  type RpcFollowOptions,
  type RpcStreamOptions,
  readRpcStream,
  retry,
  type StreamObserver,
  toTrpcUrl,
} from '@codelab/protocol';
import { createTRPCClient, getUntypedClient, type TRPCClient } from '@trpc/client';
import type { AnyTRPCRouter } from '@trpc/server';
import type { Logger } from '../logger.ts';
import { type PeerContext, peerLink } from './peer-link.ts';
import { createPeerSocket } from './peer-socket.ts';

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
  /** Follows a subscription as `stream` does, by its messages as text (`parseTail`): `onTail` is called as each comes. */
  follow(
    subscribe: (
      trpc: TRPCClient<R>,
      observer: StreamObserver<unknown> & { context: PeerContext },
    ) => { unsubscribe(): void },
    onTail: (tail: string) => void,
    options: Omit<RpcFollowOptions, 'unreachable'>,
  ): Promise<void>;
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
  const { url, name, variable, log } = options;
  let reachable = true;
  let isClosed = false;
  const socket = createPeerSocket({
    url: toTrpcUrl(url),
    headers: { 'x-internal-auth': options.key },
    onOpen: () => {
      reachable = true;
    },
    onLost: () => {
      if (reachable) log.warn({ url, event: 'peer.lost' }, `${name} cannot be reached`);
      reachable = false;
    },
  });
  const trpc = createTRPCClient<R>({ links: [peerLink(socket)] });
  const unreachable = () =>
    new CodelabError('OVERLOADED', `${name} cannot be reached at ${url}. Is it running? The address is ${variable}.`, {
      retryAfterMs: 1000,
    });

  const call: RpcClient<R>['call'] = async (run) => {
    const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
    try {
      return await retry(() => run(trpc, { signal }), {
        signal,
        delayMs: (error) => (isClosed || fromRpcError(error) !== undefined ? undefined : RETRY_MS),
      });
    } catch (error) {
      throw fromRpcError(error) ?? unreachable();
    }
  };

  return {
    call,
    callByName: (type, path, input) => call((client, options) => getUntypedClient(client)[type](path, input, options)),

    stream: (subscribe, streaming) =>
      readRpcStream((observer) => subscribe(trpc, observer), { ...streaming, unreachable }),

    follow: (subscribe, onTail, following) =>
      followRpcStream<unknown>(
        (observer) => subscribe(trpc, { ...observer, context: { onTail } }),
        () => {},
        {
          ...following,
          unreachable,
        },
      ),

    close() {
      isClosed = true;
      socket.close();
    },
  };
}
