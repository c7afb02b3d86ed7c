import { eventBytes, newId, type SessionEvent } from '@codelab/protocol';
import type { Decision, Row } from '../machine/draft.ts';
import type { SessionState } from '../machine/state.ts';
import type { Write } from '../store/commit-queue.ts';
import type { Statements, Store, StoredEvent } from '../store/store.ts';

const MIB = 1024 * 1024;

/** A decision as one transaction. Committing it again changes nothing: its outcome may be unknown. */
export interface Batch<A> {
  writes: Write[];
  /** With their numbers. */
  events: SessionEvent[];
  /** The state once it is committed. */
  next: SessionState;
  answer: A;
}

export interface BatchOptions {
  now: number;
  /** The oldest events of the session are evicted over this. */
  maxEventBytes: number;
}

/** Numbers the events of a decision, and makes it the transaction that moves the session from `state` to the next. */
export function createBatch<A>(
  { statements }: Pick<Store, 'statements'>,
  state: SessionState,
  decision: Decision<A>,
  { now, maxEventBytes }: BatchOptions,
): Batch<A> {
  const { seq: from, eventBytes: before, session } = state.stored;
  const { sessionId } = session;
  let seq = from;
  let total = before;
  const events: SessionEvent[] = [];
  const stored: StoredEvent[] = [];
  for (const event of decision.events) {
    const bytes = eventBytes(event);
    total += bytes;
    seq++;
    events.push({ ...event, seq, ts: now } as SessionEvent);
    stored.push({ event, seq, ts: now, bytes, totalBytes: total });
  }
  const isTimeToEvict = total > maxEventBytes && Math.floor(total / MIB) > Math.floor(before / MIB);
  return {
    writes: [
      statements.advance({ sessionId, from, to: seq, commitId: newId('commit'), eventBytes: total }),
      ...lastOfEach(decision.rows).map((row) => toWrite(statements, row)),
      statements.events(sessionId, stored),
      ...(isTimeToEvict ? [statements.evictEvents(sessionId, total - maxEventBytes)] : []),
    ],
    events,
    next: { ...decision.next, stored: { ...decision.next.stored, seq, eventBytes: total } },
    answer: decision.answer,
  };
}

/** Drops rows that a later one of the same decision replaces. */
function lastOfEach(rows: readonly Row[]): Row[] {
  const last = new Map<string, Row>();
  for (const [index, row] of rows.entries()) {
    const key = keyOf(row) ?? String(index);
    last.delete(key);
    last.set(key, row);
  }
  return [...last.values()];
}

/** Returns what a row is stored under; undefined where each of its kind is one of its own. */
function keyOf(row: Row): string | undefined {
  if (row[0] === 'input') return `input ${row[1].input.inputId}`;
  if (row[0] === 'item') return `item ${row[2].position}`;
  if (row[0] === 'run') return `run ${row[1].run.runId}`;
  if (row[0] === 'approval') return `approval ${row[1].approval.callId}`;
  return row[0] === 'sessionData' ? 'session' : undefined;
}

function toWrite(statements: Statements, [statement, ...values]: Row): Write {
  return (statements[statement] as (...values: unknown[]) => Write)(...values);
}
