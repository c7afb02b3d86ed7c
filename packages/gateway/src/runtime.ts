import type { AgentRuntimeRouter } from '@codelab/agent-runtime/router';
import {
  CodelabError,
  mergeDeltas,
  type SessionEvent,
  type SessionEvents,
  type TrackedEvent,
  waitingBytes,
} from '@codelab/protocol';
import { createRpcClient, type Logger, type RpcClient, type ServiceContext } from '@codelab/service-kit';

/** A watcher gets an error once agent-runtime is out of reach for so long. */
const LOST_AFTER_MS = 30_000;
const RESUBSCRIBE_MS = 100;

/** Calls agent-runtime. */
export interface Runtime {
  /** Calls the procedure of that name. Throws its `CodelabError`, or `OVERLOADED` when agent-runtime can't be reached within 5 s. */
  call: RpcClient<AgentRuntimeRouter>['callByName'];
  /** Yields the events of a session, across reconnects and restarts of agent-runtime, until `signal` aborts or gateway stops. */
  events(
    input: SessionEvents,
    context: ServiceContext,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<TrackedEvent, void, undefined>;
  close(): void;
}

export interface RuntimeOptions {
  url: string;
  key: string;
  log: Logger;
}

/** Creates the only caller of agent-runtime. */
export function createRuntime({ url, key, log }: RuntimeOptions): Runtime {
  const rpc = createRpcClient<AgentRuntimeRouter>({
    url,
    key,
    log,
    name: 'agent-runtime',
    variable: 'GATEWAY__AGENT_RUNTIME_URL',
  });

  return {
    call: rpc.callByName,
    async *events({ sessionId, from, inputId, clientId, ...input }, { requestId, lifecycle, backpressure }, signal) {
      let lastEventId = input.lastEventId;
      let isIdle = false;
      const stop = new AbortController();
      // When gateway stops, a watcher of a session in which nothing runs goes at once; others see their run's end first.
      const onStop = () => {
        if (signal?.aborted || isIdle) stop.abort();
      };
      signal?.addEventListener('abort', onStop);
      lifecycle.draining.addEventListener('abort', onStop);
      try {
        while (!stop.signal.aborted) {
          const events = rpc.stream<{ id: string; data: SessionEvent }>(
            (trpc, observer) =>
              trpc.session.events.subscribe({ sessionId, lastEventId, from, inputId, clientId, requestId }, observer),
            {
              signal: stop.signal,
              size: ({ data }) => waitingBytes(data),
              merge,
              lostAfterMs: LOST_AFTER_MS,
              onOverflow: () => {
                backpressure.cut();
                return new CodelabError('OVERLOADED', 'The reader is too slow: reconnect and resume.', { requestId });
              },
            },
          );
          for await (const { id, data: event } of events) {
            lastEventId = id;
            yield { id, event };
            if (event.type === 'session.state' || event.type === 'stream.synced') isIdle = event.state !== 'running';
            if (isIdle && lifecycle.draining.aborted) return;
          }
          // agent-runtime ended the subscription: it stops, or the session was deleted. Asking again tells which.
          if (!stop.signal.aborted) await new Promise((resolve) => setTimeout(resolve, RESUBSCRIBE_MS));
        }
      } finally {
        signal?.removeEventListener('abort', onStop);
        lifecycle.draining.removeEventListener('abort', onStop);
      }
    },
    close: () => rpc.close(),
  };
}

type Tracked = { id: string; data: SessionEvent };

function merge(earlier: Tracked, later: Tracked): Tracked | undefined {
  const data = mergeDeltas(earlier.data, later.data);
  return data === undefined ? undefined : { id: later.id, data };
}
