import { randomBytes } from 'node:crypto';
import {
  eventBytes,
  type Item,
  type ItemPage,
  mergeDeltas,
  type NewSessionEvent,
  type SessionEvent,
  type SessionState,
  type TrackedEvent,
} from '@codelab/protocol';

const SESSION_BYTES = 8 * 1024 * 1024;
const TOTAL_BYTES = 64 * 1024 * 1024;
/** Adjacent deltas that a reader catches up on arrive merged, up to this many code units. */
const MERGED_LENGTH = 64 * 1024;

/** Shared by all logs: when together they grow over the limit, the least recently used one is emptied. */
export interface LogBudget {
  /** Says that `log` has grown or shrunk, and was just used. */
  changed(log: { clear(): void }, bytes: number): void;
}

export function createLogBudget(limitBytes = TOTAL_BYTES): LogBudget {
  /** In order of use. */
  const sizes = new Map<{ clear(): void }, number>();
  let total = 0;
  return {
    changed(log, bytes) {
      total += bytes;
      const size = (sizes.get(log) ?? 0) + bytes;
      sizes.delete(log);
      if (size > 0) sizes.set(log, size);
      for (const other of sizes.keys()) {
        if (total <= limitBytes || other === log) break;
        other.clear();
      }
    },
  };
}

/** What happened in one session, numbered, and kept for readers to come back to. */
export interface EventLog {
  /** The id of the newest event: what is appended next comes after it. */
  cursor(): string;
  /** Numbers the event and wakes the readers. Returns its id. */
  append(event: NewSessionEvent): string;
  /**
   * The events after `lastEventId`, or from where `from` says, then `stream.synced`, then each new one, until `signal` aborts,
   * the log is closed, or `draining` aborts while the session is idle. Never throws: a cursor that can't be served gets `stream.reset`.
   */
  read(options: ReadOptions): AsyncGenerator<TrackedEvent, void, undefined>;
  /** Ends every reader once it has read what there is. */
  close(): void;
}

export interface ReadOptions {
  lastEventId: string | null | undefined;
  from: 'now' | 'start';
  signal: AbortSignal | undefined;
  draining: AbortSignal;
}

export interface EventLogOptions {
  budget: LogBudget;
  /** The newest page of the session's items, open ones included. */
  snapshot: () => Promise<ItemPage>;
  state: () => SessionState;
  /** The items that are being written, with their text so far. */
  openItems: () => Item[];
  /** What waits for an answer: the calls and approvals that are open, as they were announced. */
  openRequests: () => NewSessionEvent[];
  sessionBytes?: number;
  /** Something happened before this log began. */
  beginsLate?: boolean;
}

interface Entry {
  event: SessionEvent;
  bytes: number;
}

export function createEventLog(options: EventLogOptions): EventLog {
  const { budget, sessionBytes = SESSION_BYTES, beginsLate = false } = options;
  const epoch = randomBytes(6).toString('hex');
  let entries: Entry[] = [];
  /** How many entries have been dropped: an entry's index counts them. */
  let dropped = 0;
  // What an earlier log has numbered is below: no session has 16 events a millisecond for as long as it lasts.
  let lastSeq = beginsLate ? Date.now() * 16 : 0;
  let droppedSeq = lastSeq;
  let bytes = 0;
  let closed = false;
  const readers = new Set<() => void>();

  const idOf = (seq: number) => `${epoch}-${seq}`;
  const end = () => dropped + entries.length;

  const drop = (count: number) => {
    const gone = entries.slice(0, count);
    entries = entries.slice(count);
    dropped += count;
    droppedSeq = gone.at(-1)?.event.seq ?? droppedSeq;
    const freed = gone.reduce((sum, entry) => sum + entry.bytes, 0);
    bytes -= freed;
    budget.changed(self, -freed);
  };
  /** After the turn in which it grew: a reader that keeps up gets what is larger than the whole log, too. */
  const trim = () => {
    isTrimming = false;
    if (closed) return;
    let count = 0;
    for (let over = bytes - sessionBytes * 0.75; over > 0 && count < entries.length - 1; count++)
      over -= (entries[count] as Entry).bytes;
    drop(count);
  };
  let isTrimming = false;
  const self = { clear: () => drop(entries.length) };

  const wake = () => {
    for (const notify of readers) notify();
  };

  /** The index of the first entry after the cursor, or why there is none to continue from. */
  const locate = (lastEventId: string): number | 'restarted' | 'cursor_expired' => {
    const [, cursorEpoch, digits] = /^([0-9a-f]+)-(\d{1,15})$/.exec(lastEventId) ?? [];
    if (cursorEpoch === undefined || digits === undefined) return 'cursor_expired';
    const seq = Number(digits);
    if (cursorEpoch !== epoch || seq > lastSeq) return 'restarted';
    if (seq < droppedSeq) return 'cursor_expired';
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((entries[middle] as Entry).event.seq <= seq) low = middle + 1;
      else high = middle;
    }
    return dropped + low;
  };

  /** An event for one reader only. It takes a number, so that what any reader sees increases strictly. */
  const own = (event: NewSessionEvent, seq = ++lastSeq): TrackedEvent => ({
    id: idOf(seq),
    event: { ...event, seq, ts: Date.now() } as SessionEvent,
  });

  return {
    cursor: () => idOf(lastSeq),

    append(event) {
      lastSeq++;
      const entry = { event: { ...event, seq: lastSeq, ts: Date.now() } as SessionEvent, bytes: eventBytes(event) };
      entries.push(entry);
      bytes += entry.bytes;
      budget.changed(self, entry.bytes);
      if (bytes > sessionBytes && !isTrimming) {
        isTrimming = true;
        setImmediate(trim);
      }
      wake();
      return idOf(lastSeq);
    },

    async *read({ lastEventId, from, signal, draining }) {
      let reset: 'restarted' | 'cursor_expired' | undefined;
      let index = end();
      let isNew = lastEventId == null && from === 'now';
      if (lastEventId != null) {
        const found = locate(lastEventId);
        if (typeof found === 'number') index = found;
        else reset = found;
      } else if (from === 'start') {
        index = dropped;
        if (dropped > 0 || beginsLate) reset = 'cursor_expired';
      }
      let synced = false;
      let withoutWait = 0;
      let notify = () => {};
      const onChange = () => notify();
      readers.add(onChange);
      signal?.addEventListener('abort', onChange);
      draining.addEventListener('abort', onChange);
      try {
        while (!signal?.aborted) {
          if (index < dropped) reset = 'cursor_expired';
          if (reset !== undefined) {
            index = end();
            synced = false;
            isNew = false;
            // Numbered at once: what happens while the snapshot is read comes after it.
            const first = lastSeq + 1;
            const requests = options.openRequests();
            lastSeq += 1 + requests.length;
            const reason = reset;
            reset = undefined;
            yield own({ type: 'stream.reset', reason, ...(await options.snapshot()) }, first);
            for (const [count, event] of requests.entries()) yield own(event, first + 1 + count);
          } else if (index < end()) {
            let { event } = entries[index++ - dropped] as Entry;
            while (index < end() && event.type === 'item.delta' && event.text.length < MERGED_LENGTH) {
              const merged = mergeDeltas(event, (entries[index - dropped] as Entry).event);
              if (merged === undefined) break;
              event = merged;
              index++;
            }
            // A loop that never waits would keep everybody else from running.
            if (++withoutWait % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
            yield { id: idOf(event.seq), event };
          } else if (isNew) {
            // Whoever comes in the middle of an answer gets what has been said of it.
            isNew = false;
            const events = options
              .openItems()
              .flatMap(({ text, ...item }): NewSessionEvent[] => [
                { type: 'item.started', item: { ...item, text: '' } },
                ...(text === '' ? [] : [{ type: 'item.delta' as const, itemId: item.itemId, text, offset: 0 }]),
              ]);
            // Numbered at once: what happens while the reader takes them comes after them.
            const first = lastSeq + 1;
            const all = [...events, ...options.openRequests()];
            lastSeq += all.length;
            for (const [count, event] of all.entries()) yield own(event, first + count);
          } else if (!synced) {
            synced = true;
            yield own({ type: 'stream.synced', ...options.state() });
          } else if (closed || (draining.aborted && options.state().state === 'idle')) {
            return;
          } else {
            await new Promise<void>((resolve) => {
              notify = resolve;
            });
          }
        }
      } finally {
        readers.delete(onChange);
        signal?.removeEventListener('abort', onChange);
        draining.removeEventListener('abort', onChange);
      }
    },

    close() {
      closed = true;
      // Its readers still have what there is; nobody else comes.
      budget.changed(self, -bytes);
      wake();
    },
  };
}
