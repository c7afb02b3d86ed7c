import type { AgentRuntimeRouter } from '@codelab/agent-runtime/router';
import {
  CodelabError,
  createMergeQueue,
  mergeDeltas,
  pause,
  pullFrom,
  type SessionEvent,
  type SessionEvents,
  type SessionState,
  type TrackedEvent,
  waitingBytes,
} from '@codelab/protocol';
import {
  createRpcClient,
  type Logger,
  type MessageSink,
  type Pushable,
  parseTail,
  pushable,
  type RpcClient,
  type ServiceContext,
  toTail,
} from '@codelab/service-kit';

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

const queueing = {
  size: ({ event }: TrackedEvent) => waitingBytes(event),
  limitBytes: 4 * 1024 * 1024,
  merge(earlier: TrackedEvent, later: TrackedEvent): TrackedEvent | undefined {
    const event = mergeDeltas(earlier.event, later.event);
    return event === undefined ? undefined : { id: later.id, event };
  },
};

function toTracked(tail: string): TrackedEvent {
  const { id, data } = parseTail<SessionEvent>(tail);
  return { id, event: data };
}

/** Returns the state of the session, where an event tells it. No other event is parsed. */
function stateIn(tail: string): SessionState['state'] | undefined {
  if (!tail.includes('"type":"session.state"') && !tail.includes('"type":"stream.synced"')) return undefined;
  const { event } = toTracked(tail);
  return event.type === 'session.state' || event.type === 'stream.synced' ? event.state : undefined;
}

interface PassOnOptions {
  sink: MessageSink;
  signal: AbortSignal | undefined;
  /** Cuts the reader off, and returns why. */
  tooSlow(): CodelabError;
}

/** Sends events on as the text that they came as. What a slow reader does not take yet is parsed and waits, deltas merged. */
async function passOn(
  follow: (onTail: (tail: string) => void, signal: AbortSignal) => Promise<void>,
  { sink, signal, tooSlow }: PassOnOptions,
): Promise<void> {
  const waiting = createMergeQueue(queueing);
  const left = new AbortController();
  const leave = () => left.abort();
  signal?.addEventListener('abort', leave);
  if (signal?.aborted) leave();
  let failure: { error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    leave();
  };
  const drain = async () => {
    while (!waiting.isEmpty) {
      await sink.drained();
      const next = waiting.shift();
      if (next !== undefined) sink.send(toTail(next.id, next.event));
    }
  };
  let draining: Promise<void> | undefined;
  try {
    await follow((tail) => {
      if (draining === undefined && !sink.isFull) return sink.send(tail);
      if (failure !== undefined) return;
      if (!waiting.push(toTracked(tail))) return fail(tooSlow());
      draining ??= drain()
        .catch(fail)
        .finally(() => {
          draining = undefined;
        });
    }, left.signal);
    await draining;
    if (failure !== undefined) throw failure.error;
  } finally {
    signal?.removeEventListener('abort', leave);
  }
}
