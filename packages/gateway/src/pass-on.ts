import {
  type CodelabError,
  createMergeQueue,
  mergeDeltas,
  QUEUE_BYTES,
  type SessionEvent,
  type TrackedEvent,
  waitingBytes,
} from '@codelab/protocol';
import { type MessageSink, parseTail, toTail } from '@codelab/service-kit';

/** How events wait for a slow reader. */
export const queueing = {
  size: ({ event }: TrackedEvent) => waitingBytes(event),
  limitBytes: QUEUE_BYTES,
  merge(earlier: TrackedEvent, later: TrackedEvent): TrackedEvent | undefined {
    const event = mergeDeltas(earlier.event, later.event);
    return event === undefined ? undefined : { id: later.id, event };
  },
};

/** Parses a message of agent-runtime's. */
export function toTracked(tail: string): TrackedEvent {
  const { id, data } = parseTail<SessionEvent>(tail);
  return { id, event: data };
}

export interface PassOnOptions {
  sink: MessageSink;
  signal: AbortSignal | undefined;
  /** Cuts the reader off, and returns why. */
  tooSlow(): CodelabError;
}

/** Sends events on as the text that they came as. What a slow reader does not take yet is parsed and waits, deltas merged. */
export async function passOn(
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
  let isBehind = false;
  let catchingUp: Promise<void> | undefined;
  const catchUp = async () => {
    try {
      while (!waiting.isEmpty) {
        await sink.drained();
        const next = waiting.shift();
        if (next !== undefined) sink.send(toTail(next.id, next.event));
      }
    } catch (error) {
      fail(error);
    }
    isBehind = false;
  };
  try {
    await follow((tail) => {
      if (!isBehind && !sink.isFull) return sink.send(tail);
      if (failure !== undefined) return;
      if (!waiting.push(toTracked(tail))) return fail(tooSlow());
      if (isBehind) return;
      isBehind = true;
      catchingUp = catchUp();
    }, left.signal);
    if (failure === undefined) await catchingUp;
    if (failure !== undefined) throw failure.error;
  } finally {
    signal?.removeEventListener('abort', leave);
  }
}
