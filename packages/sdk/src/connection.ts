import type { GatewayRouter } from '@codelab/gateway/router';
import {
  backoff,
  CodelabError,
  fromRpcError,
  mergeDeltas,
  pause,
  readRpcStream,
  retry,
  sendAtOnce,
  toTrpcUrl,
  transformer,
  waitingBytes,
} from '@codelab/protocol';
import { createTRPCClient, createWSClient, getUntypedClient, type TRPCClient, wsLink } from '@trpc/client';
import { type Procedures, procedureTypes, type SessionEvent, type TrackedSessionEvent } from './types.ts';
import { WebSocketClass } from './websocket.ts';

const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 2_000;

export interface ConnectionOptions {
  url: string;
  token: string | undefined;
  timeoutMs: number;
  WebSocket: typeof globalThis.WebSocket | undefined;
}

export interface WatchOptions {
  sessionId: string;
  lastEventId?: string | undefined;
  from?: 'now' | 'start' | undefined;
  /** Without a cursor: begin where this input is accepted, even if it is still on its way. */
  inputId?: string | undefined;
  /** The client that is there while it watches. */
  clientId?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** The socket to gateway, which reconnects. No other file knows tRPC. */
export interface Connection {
  /** Calls an idempotent procedure: after a lost connection it is called again. Throws `CodelabError`. */
  call<T>(run: (trpc: TRPCClient<GatewayRouter>, options: { signal: AbortSignal }) => Promise<T>): Promise<T>;
  /** Calls a procedure by its name, as `call` does. */
  callByName<N extends keyof Procedures>(name: N, input: Procedures[N]['input']): Promise<Procedures[N]['output']>;
  /** Yields the events of a session, across reconnects, until `signal` aborts or the connection is closed. Throws `CodelabError`. */
  watch(options: WatchOptions): AsyncGenerator<TrackedSessionEvent, void, undefined>;
  close(): void;
}

type Tracked = { id: string; data: SessionEvent };

/** Marks a reader that was slower than the stream: nothing is lost, it is read again from the cursor. */
const overflow = Symbol('overflow');

export function createConnection(options: ConnectionOptions): Connection {
  const { token, timeoutMs } = options;
  const closed = new AbortController();
  const socket = createWSClient({
    url: toTrpcUrl(options.url),
    WebSocket: options.WebSocket ?? WebSocketClass,
    ...(token === undefined ? {} : { connectionParams: () => ({ token }) }),
    retryDelayMs: (attempt) => backoff(attempt, 50, MAX_BACKOFF_MS),
    keepAlive: { enabled: true, intervalMs: 10_000, pongTimeoutMs: 5_000 },
    lazy: { enabled: true, closeMs: 30_000 },
  });
  const trpc = createTRPCClient<GatewayRouter>({ links: [wsLink({ client: socket, transformer })] });

  const unreachable = (cause?: unknown) =>
    new CodelabError('OVERLOADED', `The service cannot be reached at ${options.url}. Is it running?`, { cause });

  const call: Connection['call'] = async (run) => {
    if (closed.signal.aborted) throw closedError();
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), closed.signal]);
    const ask = () => sendAtOnce(socket, () => run(trpc, { signal }));
    try {
      return await retry(ask, {
        signal,
        delayMs: (error, attempt) => {
          const known = fromRpcError(error);
          if (known !== undefined && !isForLater(known)) return undefined;
          return known?.retryAfterMs ?? backoff(attempt, FIRST_BACKOFF_MS, MAX_BACKOFF_MS);
        },
      });
    } catch (error) {
      const known = fromRpcError(error);
      if (closed.signal.aborted && (known === undefined || isForLater(known))) throw closedError();
      throw known ?? unreachable(error);
    }
  };

  const subscribe = (input: Parameters<typeof trpc.session.events.subscribe>[0], signal: AbortSignal) =>
    readRpcStream<Tracked>((observer) => sendAtOnce(socket, () => trpc.session.events.subscribe(input, observer)), {
      signal,
      lostAfterMs: timeoutMs,
      unreachable,
      size: ({ data }) => waitingBytes(data),
      merge: (earlier, later) => {
        const data = mergeDeltas(earlier.data, later.data);
        return data === undefined ? undefined : { id: later.id, data };
      },
      onOverflow: () => overflow,
    });

  return {
    call,
    callByName: (name, input) =>
      call((client, options) => getUntypedClient(client)[procedureTypes[name]](name, input, options) as never),

    async *watch({ sessionId, from, inputId, clientId, lastEventId: cursor, signal }) {
      // One of its own for each watcher: Node warns of many listeners on one signal.
      const stop = AbortSignal.any(signal === undefined ? [closed.signal] : [signal, closed.signal]);
      let lastEventId = cursor;
      let failures = 0;
      let failingSince = 0;
      while (!stop.aborted) {
        try {
          const input = { sessionId, lastEventId, from: from ?? 'now', inputId, clientId };
          for await (const { id, data } of subscribe(input, stop)) {
            lastEventId = id;
            failures = 0;
            yield { ...data, id };
          }
        } catch (error) {
          if (error === overflow) continue;
          const known = error instanceof CodelabError ? error : unreachable(error);
          if (!isForLater(known)) throw known;
          if (failures++ === 0) failingSince = Date.now();
          if (Date.now() - failingSince >= timeoutMs) throw known;
        }
        // The service stops, or has cut us off: it is asked again.
        if (!stop.aborted) await pause(backoff(failures, FIRST_BACKOFF_MS, MAX_BACKOFF_MS), stop);
      }
    },

    close() {
      closed.abort();
      socket.close();
    },
  };
}

/** The service is away, full, or asks this client to wait. */
function isForLater({ code }: CodelabError): boolean {
  return code === 'OVERLOADED' || code === 'RATE_LIMITED';
}

function closedError(): CodelabError {
  return new CodelabError('OVERLOADED', 'The client is closed.');
}
