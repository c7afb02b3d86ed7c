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
      ...decision.rows.map((row) => toWrite(statements, row)),
      statements.events(sessionId, stored),
      ...(isTimeToEvict ? [statements.evictEvents(sessionId, total - maxEventBytes)] : []),
    ],
    events,
    next: { ...decision.next, stored: { ...decision.next.stored, seq, eventBytes: total } },
    answer: decision.answer,
  };
}

function toWrite(statements: Statements, [statement, ...values]: Row): Write {
  return (statements[statement] as (...values: unknown[]) => Write)(...values);
}
