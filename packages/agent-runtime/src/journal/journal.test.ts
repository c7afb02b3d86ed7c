import { type Item, noUsage, type Run } from '@codelab/protocol';
import { expect, it } from 'vitest';
import type { Decision, Row } from '../machine/draft.ts';
import type { SessionState } from '../machine/state.ts';
import type { Statements } from '../store/statements.ts';
import { createBatch } from './journal.ts';

const session = { sessionId: 's' } as never;
const stored = { number: 1, session, createdFingerprint: '', tools: [], seq: 7, eventBytes: 100 };
const state: SessionState = { stored, position: 0, lastInput: 0, queue: [], run: undefined };
/** Each statement as its name and what it is given. */
const statements = new Proxy({} as Statements, {
  get:
    (_, name) =>
    (...values: unknown[]) => [[name, ...values]],
});
const item = (position: number, text: string): Row => ['item', 's', { position, item: { text } as Item }];
const run = (status: Run['status']): Row => [
  'run',
  { run: { runId: 'r', status, usage: noUsage } as Run, attempts: 0, isCancelled: false },
];
const batchOf = ({ rows = [], events = [] }: Partial<Decision>, maxEventBytes = 1e9) =>
  createBatch({ statements } as never, state, { next: state, rows, events, answer: 'it' }, { now: 5, maxEventBytes });
const written = (batch: ReturnType<typeof batchOf>) => batch.writes.flat() as unknown as Array<[string, ...unknown[]]>;

it('numbers the events behind the last one, and moves the session there in the same transaction', () => {
  const batch = batchOf({
    events: [
      { type: 'input.cancelled', inputId: 'a' },
      { type: 'input.cancelled', inputId: 'b' },
    ],
  });
  expect(batch.events.map(({ seq, ts }) => [seq, ts])).toEqual([
    [8, 5],
    [9, 5],
  ]);
  const [advance, events] = written(batch);
  expect(advance).toMatchObject(['advance', { sessionId: 's', from: 7, to: 9 }]);
  expect(events).toMatchObject(['events', 's', [{ seq: 8 }, { seq: 9 }]]);
  expect(batch.next.stored.seq).toBe(9);
  expect(batch.answer).toBe('it');
});

it('writes a row once, as it is in the end', () => {
  const batch = batchOf({ rows: [item(1, 'a'), run('running'), item(2, 'b'), item(1, 'c'), run('completed')] });
  expect(written(batch).slice(1, -1)).toMatchObject([
    ['item', 's', { position: 2, item: { text: 'b' } }],
    ['item', 's', { position: 1, item: { text: 'c' } }],
    ['run', { run: { status: 'completed' } }],
  ]);
});

it('evicts the oldest events where they pass the next MiB over the limit', () => {
  const said = (text: string) => ({ type: 'item.completed' as const, item: { text } as Item });
  expect(written(batchOf({ events: [said('x'.repeat(1024 * 1024))] }, 50)).at(-1)?.[0]).toBe('evictEvents');
  expect(written(batchOf({ events: [said('x')] }, 50)).at(-1)?.[0]).toBe('events');
});
