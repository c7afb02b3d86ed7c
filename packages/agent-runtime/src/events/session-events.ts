import { eventBytes, type NewSessionEvent, type SessionEvent, type TrackedEvent } from '@codelab/protocol';
import type { MessageSink } from '@codelab/service-kit';
import { createEventReader, type EventReader, type EventSource } from './event-reader.ts';
import type { LiveStep } from './live-step.ts';
import type { LogBudget } from './log-budget.ts';
import { formatPosition } from './position.ts';

const SESSION_BYTES = 8 * 1024 * 1024;
const PAGE_EVENTS = 500;

/** The events of one session: those that are stored, and the live step. */
export interface SessionEvents {
  /** The number of the newest stored event. */
  readonly lastSeq: number;
  /** Returns the position behind a stored event. */
  positionAt(seq: number): string;
  /** Shows events that have been stored. */
  append(events: SessionEvent[]): void;
  /** Shows the live step as it grows, until it is stored or given up. */
  setLive(step: LiveStep | undefined): void;
  /** Shows a volatile event to the current readers. */
  showProgress(event: Extract<NewSessionEvent, { type: 'tool.progress' }>): void;
  /** Wakes the readers: the live step has grown. */
  changed(): void;
  /**
   * Yields the events after `lastEventId`, or from where `from` says, then `stream.synced`, then each new one, until `signal` aborts,
   * the events are closed, or `draining` aborts while the session is idle. A cursor that can't be served gets `stream.reset`.
   */
  read(options: ReadOptions): AsyncGenerator<TrackedEvent, void, undefined>;
  /** Sends the same events to `sink`. */
  push(sink: MessageSink, options: ReadOptions): Promise<void>;
  /** Ends every reader once it has read what there is. */
  close(last?: NewSessionEvent): void;
}

export interface ReadOptions {
  lastEventId: string | null | undefined;
  from: 'now' | 'start';
  signal: AbortSignal | undefined;
  draining: AbortSignal;
}

export interface SessionEventsOptions
  extends Pick<EventSource, 'hasItem' | 'snapshot' | 'state' | 'openCalls' | 'openRequests'> {
  budget: LogBudget;
  /** Names the log. */
  log: string;
  /** The number of the newest stored event at the beginning. */
  seq: number;
  /** Reads stored events behind `after`. */
  stored(options: { after: number; limit: number }): Promise<SessionEvent[]>;
  sessionBytes?: number;
}

export function createSessionEvents(options: SessionEventsOptions): SessionEvents {
  const { budget, log, sessionBytes = SESSION_BYTES } = options;
  /** The newest stored events, without a gap. */
  let tail: Array<{ event: SessionEvent; bytes: number }> = [];
  let bytes = 0;
  let lastSeq = options.seq;
  let live: LiveStep | undefined;
  let closed = false;
  let last: NewSessionEvent | undefined;
  const readers = new Set<EventReader>();

  const evict = (count: number) => {
    const freed = tail.slice(0, count).reduce((sum, entry) => sum + entry.bytes, 0);
    tail = tail.slice(count);
    bytes -= freed;
    budget.changed(self, -freed);
  };
  const self = { clear: () => evict(tail.length) };
  const wake = () => {
    for (const reader of readers) reader.notify();
  };

  /** Reads the stored events behind `after`, from memory where they are. Returns undefined where one is gone. */
  const eventsAfter = async (after: number): Promise<SessionEvent[] | undefined> => {
    const first = tail[0]?.event.seq;
    if (first !== undefined && first <= after + 1)
      return tail.slice(after + 1 - first, after + 1 - first + PAGE_EVENTS).map(({ event }) => event);
    const found = await options.stored({ after, limit: PAGE_EVENTS });
    const gap = found.findIndex(({ seq }, index) => seq !== after + 1 + index);
    const whole = gap < 0 ? found : found.slice(0, gap);
    return whole.length === 0 ? undefined : whole;
  };

  const source: EventSource = {
    get lastSeq() {
      return lastSeq;
    },
    get live() {
      return live;
    },
    get isClosed() {
      return closed;
    },
    get last() {
      return last;
    },
    eventsAfter,
    hasItem: options.hasItem,
    snapshot: options.snapshot,
    state: options.state,
    openCalls: options.openCalls,
    openRequests: options.openRequests,
  };

  const attach = ({ signal, draining }: ReadOptions) => {
    const reader = createEventReader({ log, source, signal, draining });
    readers.add(reader);
    signal?.addEventListener('abort', reader.notify);
    draining.addEventListener('abort', reader.notify);
    const leave = () => {
      readers.delete(reader);
      signal?.removeEventListener('abort', reader.notify);
      draining.removeEventListener('abort', reader.notify);
    };
    return { reader, leave };
  };

  return {
    get lastSeq() {
      return lastSeq;
    },

    positionAt: (seq) => formatPosition({ log, seq }),

    append(events) {
      for (const event of events) {
        const entry = { event, bytes: eventBytes(event) };
        tail.push(entry);
        bytes += entry.bytes;
        lastSeq = event.seq;
        budget.changed(self, entry.bytes);
      }
      if (bytes > sessionBytes) {
        let count = 0;
        for (let over = bytes - sessionBytes * 0.75; over > 0 && count < tail.length - 1; count++)
          over -= (tail[count] as { bytes: number }).bytes;
        evict(count);
      }
      wake();
    },

    setLive(step) {
      live = step;
      wake();
    },

    showProgress(event) {
      for (const reader of readers) reader.showProgress(event);
      wake();
    },

    changed: wake,

    async *read(how) {
      const { reader, leave } = attach(how);
      try {
        yield* reader.read(how.lastEventId, how.from);
      } finally {
        leave();
      }
    },

    push(sink, how) {
      const { reader, leave } = attach(how);
      return reader.push(sink, how.lastEventId, how.from).finally(leave);
    },

    close(event) {
      if (closed) return;
      closed = true;
      last = event;
      budget.changed(self, -bytes);
      wake();
    },
  };
}
