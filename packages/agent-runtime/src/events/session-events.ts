import {
  eventBytes,
  type Item,
  type ItemPage,
  type NewSessionEvent,
  type SessionEvent,
  type SessionState,
  type TrackedEvent,
  wholeEnd,
} from '@codelab/protocol';
import type { LiveItem, LiveStep } from './live-step.ts';
import type { LogBudget } from './log-budget.ts';
import { formatPosition, parsePosition, type ShownItem } from './position.ts';

const SESSION_BYTES = 8 * 1024 * 1024;
/** The size limit of a delta for a reader that catches up. UTF-16 code units. */
const MERGED_LENGTH = 64 * 1024;
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
  /** Ends every reader once it has read what there is. */
  close(last?: NewSessionEvent): void;
}

export interface ReadOptions {
  lastEventId: string | null | undefined;
  from: 'now' | 'start';
  signal: AbortSignal | undefined;
  draining: AbortSignal;
}

export interface SessionEventsOptions {
  budget: LogBudget;
  /** Names the log. */
  log: string;
  /** The number of the newest stored event at the beginning. */
  seq: number;
  /** Reads stored events behind `after`. */
  stored(options: { after: number; limit: number }): Promise<SessionEvent[]>;
  hasItem(itemId: string): Promise<boolean>;
  /** Reads the newest page of the session's items, live ones included. */
  snapshot(): Promise<ItemPage>;
  state(): SessionState;
  /** Returns the calls without a result. */
  openCalls(): Item[];
  /** Returns the open calls and approvals, as the events that announced them. */
  openRequests(): NewSessionEvent[];
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
  const readers = new Set<Reader>();

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
      for (const reader of readers) reader.progress.set(event.callId, event);
      wake();
    },

    changed: wake,

    async *read({ lastEventId, from, signal, draining }) {
      const reader: Reader = { notify: () => {}, progress: new Map() };
      const onChange = () => reader.notify();
      readers.add(reader);
      signal?.addEventListener('abort', onChange);
      draining.addEventListener('abort', onChange);

      let seq = lastSeq;
      /** The items whose beginning the reader has been shown, and not their end. */
      let shown = new Map<string, ShownItem>();
      /** The live step that the unstored ones belong to. */
      let shownStep: string | undefined;
      let reset: 'restarted' | 'cursor_expired' | undefined;
      let isNew = lastEventId == null && from === 'now';
      let synced = false;

      const tracked = (event: NewSessionEvent, at = seq): TrackedEvent => ({
        id: formatPosition({ log, seq: at }, live?.id === shownStep ? live : undefined, shown),
        event: { ...event, seq: at, ts: Date.now() } as SessionEvent,
      });
      const discardOrphans = function* (): Generator<TrackedEvent> {
        for (const itemId of [...shown.keys()]) {
          if (!itemId.includes(`_${shownStep}.`)) continue;
          shown.delete(itemId);
          yield tracked({ type: 'item.discarded', itemId, reason: 'restarted' });
        }
        shownStep = undefined;
      };
      /** Shows the part of an item that the reader has not seen, before an event that continues it. */
      const beginItem = function* (item: Item): Generator<TrackedEvent> {
        const { itemId, text, kind, toolCall } = item;
        const read = shown.get(itemId);
        if (read === undefined)
          yield tracked({
            type: 'item.started',
            item: {
              ...item,
              text: '',
              status: 'in_progress',
              ...(toolCall === undefined ? {} : { toolCall: { callId: toolCall.callId, name: toolCall.name } }),
            },
          });
        if (!isStreamed(kind)) return;
        for (let offset = Math.min(read?.length ?? 0, text.length); offset < text.length; ) {
          const part = text.slice(offset, wholeEnd(text, offset + MERGED_LENGTH));
          yield tracked({ type: 'item.delta', itemId, text: part, offset });
          offset += part.length;
        }
      };
      /** Expands a stored event to those that this reader needs. */
      const expand = function* (event: SessionEvent): Generator<TrackedEvent> {
        seq = event.seq - 1;
        switch (event.type) {
          case 'item.started':
            // A call whose arguments are whole.
            yield* beginItem(event.item);
            shown.delete(event.item.itemId);
            seq = event.seq;
            return;
          case 'item.completed':
            if (event.item.kind !== 'tool_call') yield* beginItem(event.item);
            shown.delete(event.item.itemId);
            break;
          case 'item.discarded':
            if (!shown.delete(event.itemId)) {
              seq = event.seq;
              return;
            }
        }
        seq = event.seq;
        yield { id: formatPosition({ log, seq }, live?.id === shownStep ? live : undefined, shown), event };
      };
      const showLive = function* (step: LiveStep): Generator<TrackedEvent> {
        shownStep = step.id;
        for (const item of step.items) {
          const { itemId } = item.item;
          let read = shown.get(itemId) as LiveRead | undefined;
          if (read === undefined) {
            read = { length: 0, piece: 0 };
            shown.set(itemId, read);
            yield tracked({ type: 'item.started', item: item.item });
          }
          while (read.length < item.length) {
            const offset = read.length;
            const text = take(item, read);
            yield tracked({ type: 'item.delta', itemId, text, offset });
          }
        }
      };

      try {
        if (lastEventId != null) {
          const position = parsePosition(lastEventId);
          if (position === undefined) reset = 'cursor_expired';
          else if (position.log !== log || position.seq > lastSeq) reset = 'restarted';
          else {
            seq = position.seq;
            if (position.step !== undefined) {
              const { id } = position.step;
              shown = position.step.shown;
              shownStep = id;
              const [first] = shown.keys();
              if (live?.id !== id && first !== undefined && !(await options.hasItem(first))) yield* discardOrphans();
            }
          }
        } else if (from === 'start') seq = 0;

        let withoutWait = 0;
        while (!signal?.aborted) {
          // Yields to the event loop now and then.
          if (++withoutWait % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
          if (reset !== undefined) {
            seq = lastSeq;
            synced = false;
            isNew = false;
            const reason = reset;
            reset = undefined;
            const requests = options.openRequests();
            const step = live;
            const page = await options.snapshot();
            shown = new Map(page.items.map(({ itemId, text }) => [itemId, { length: text.length }]));
            shownStep = step?.id;
            yield tracked({ type: 'stream.reset', reason, ...page });
            for (const event of requests) yield tracked(event);
          } else if (seq < lastSeq) {
            const events = await eventsAfter(seq);
            if (events === undefined) reset = 'cursor_expired';
            for (const event of events ?? []) {
              yield* expand(event);
              if (signal?.aborted) return;
            }
          } else if (shownStep !== undefined && shownStep !== live?.id) {
            yield* discardOrphans();
          } else if (live !== undefined && hasMore(live, shown)) {
            yield* showLive(live);
          } else if (isNew) {
            isNew = false;
            const requests = options.openRequests();
            for (const item of options.openCalls()) yield* beginItem(item);
            for (const event of requests) yield tracked(event);
          } else if (reader.progress.size > 0) {
            const [[callId, event]] = reader.progress as unknown as [[string, NewSessionEvent]];
            reader.progress.delete(callId);
            yield tracked(event);
          } else if (!synced) {
            synced = true;
            yield tracked({ type: 'stream.synced', ...options.state() });
          } else if (closed || (draining.aborted && options.state().state === 'idle')) {
            if (last !== undefined && !signal?.aborted) yield tracked(last);
            return;
          } else {
            withoutWait = 0;
            await new Promise<void>((resolve) => {
              reader.notify = resolve;
            });
          }
        }
      } finally {
        readers.delete(reader);
        signal?.removeEventListener('abort', onChange);
        draining.removeEventListener('abort', onChange);
      }
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

interface Reader {
  notify(): void;
  /** The newest progress of each call, not shown yet. */
  progress: Map<string, NewSessionEvent>;
}

interface LiveRead extends ShownItem {
  /** The piece that comes next. */
  piece?: number;
}

/** True for an item that is streamed in pieces; the others come whole. */
function isStreamed(kind: Item['kind']): boolean {
  return kind === 'assistant_message' || kind === 'reasoning' || kind === 'tool_call';
}

function hasMore(step: LiveStep, shown: ReadonlyMap<string, ShownItem>): boolean {
  return step.items.some(({ item, length }) => (shown.get(item.itemId)?.length ?? -1) < length);
}

/** Returns the next pieces as one text, and moves behind them. */
function take(item: LiveItem, read: LiveRead): string {
  const { pieces } = item;
  let text = '';
  if (read.piece === undefined) {
    // It was resumed by an offset, which may lie within a piece.
    read.piece = 0;
    let left = read.length;
    for (let piece = pieces[0]; piece !== undefined && left > 0; piece = pieces[read.piece]) {
      if (left < piece.length) text = piece.slice(left);
      left -= piece.length;
      read.piece++;
    }
  }
  while (read.piece < pieces.length && text.length < MERGED_LENGTH) text += pieces[read.piece++];
  read.length += text.length;
  return text;
}
