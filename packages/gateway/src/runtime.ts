import type { AgentRuntimeRouter } from '@codelab/agent-runtime/router';
import {
  CodelabError,
  pause,
  pullFrom,
  type SessionEvents,
  type SessionState,
  type TrackedEvent,
} from '@codelab/protocol';
import {
  createRpcClient,
  type Logger,
  type Pushable,
  parseTail,
  pushable,
  type RpcClient,
  type ServiceContext,
} from '@codelab/service-kit';
import { passOn, queueing, toTracked } from './pass-on.ts';

/** A watcher gets an error once agent-runtime is out of reach for so long. */
const LOST_AFTER_MS = 30_000;
const RESUBSCRIBE_MS = 100;

/** Calls agent-runtime. */
export interface Runtime {
  /** Calls the procedure of that name. Throws its `CodelabError`, or `OVERLOADED` when agent-runtime can't be reached within 5 s. */
  call: RpcClient<AgentRuntimeRouter>['callByName'];
  /** Has the events of a session, across reconnects and restarts of agent-runtime, until `signal` aborts or gateway stops. */
  events(input: SessionEvents, context: ServiceContext, signal: AbortSignal | undefined): Pushable<TrackedEvent>;
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

  /** Follows the events of a session, across reconnects and restarts of agent-runtime, until `signal` aborts or gateway stops. */
  const follow = async (
    { sessionId, from, inputId, clientId, ...input }: SessionEvents,
    { requestId, lifecycle }: ServiceContext,
    signal: AbortSignal,
    onTail: (tail: string) => void,
  ): Promise<void> => {
    let last: string | undefined;
    let isIdle = false;
    const stop = new AbortController();
    // When gateway stops, a watcher of a session in which nothing runs goes at once; others see their run's end first.
    const onStop = () => {
      if (signal.aborted || (isIdle && lifecycle.draining.aborted)) stop.abort();
    };
    signal.addEventListener('abort', onStop);
    lifecycle.draining.addEventListener('abort', onStop);
    if (signal.aborted) stop.abort();
    const take = (tail: string) => {
      last = tail;
      onTail(tail);
      const state = stateIn(tail);
      if (state === undefined) return;
      isIdle = state !== 'running';
      onStop();
    };
    try {
      while (!stop.signal.aborted) {
        const lastEventId = last === undefined ? input.lastEventId : parseTail(last).id;
        await rpc.follow(
          (trpc, observer) =>
            trpc.session.events.subscribe({ sessionId, lastEventId, from, inputId, clientId, requestId }, observer),
          take,
          { signal: stop.signal, lostAfterMs: LOST_AFTER_MS },
        );
        // agent-runtime ended the subscription: it stops, or the session was deleted. Asking again tells which.
        if (!stop.signal.aborted) await pause(RESUBSCRIBE_MS, stop.signal);
      }
    } finally {
      signal.removeEventListener('abort', onStop);
      lifecycle.draining.removeEventListener('abort', onStop);
    }
  };

  return {
    call: rpc.callByName,

    events(input, context, signal) {
      const tooSlow = () => {
        context.backpressure.cut();
        return new CodelabError('OVERLOADED', 'The reader is too slow: reconnect and resume.', {
          requestId: context.requestId,
        });
      };
      return pushable(
        () =>
          pullFrom<TrackedEvent>((push, left) => follow(input, context, left, (tail) => push(toTracked(tail))), {
            ...queueing,
            signal,
            onOverflow: tooSlow,
          }),
        (sink) => passOn((onTail, left) => follow(input, context, left, onTail), { sink, signal, tooSlow }),
      );
    },

    close: () => rpc.close(),
  };
}

/** Returns the state of the session, where an event tells it. No other event is parsed. */
function stateIn(tail: string): SessionState['state'] | undefined {
  if (!tail.includes('"type":"session.state"') && !tail.includes('"type":"stream.synced"')) return undefined;
  const { event } = toTracked(tail);
  return event.type === 'session.state' || event.type === 'stream.synced' ? event.state : undefined;
}
