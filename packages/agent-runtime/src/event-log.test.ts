import type { Item, NewSessionEvent, SessionState, TrackedEvent } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { createEventLog, createLogBudget, type EventLogOptions, type ReadOptions } from './event-log.ts';

const idle: SessionState = { state: 'idle', queued: 0 };
const never = new AbortController().signal;

function makeLog(overrides: Partial<EventLogOptions> = {}) {
  return createEventLog({
    budget: createLogBudget(),
    snapshot: async () => ({ items: [] }),
    state: () => idle,
    openItems: () => [],
    openRequests: () => [],
    ...overrides,
  });
}
const read = (log: ReturnType<typeof makeLog>, options: Partial<ReadOptions> = {}) =>
  log.read({ lastEventId: undefined, from: 'now', signal: undefined, draining: never, ...options });
const delta = (text: string, offset: number, itemId = 'a'): NewSessionEvent => ({
  type: 'item.delta',
  itemId,
  text,
  offset,
});
const mark = (inputId: string): NewSessionEvent => ({ type: 'input.cancelled', inputId });

/** All up to the first `stream.synced`. */
async function untilSynced(events: AsyncGenerator<TrackedEvent, void, undefined>): Promise<TrackedEvent[]> {
  const seen: TrackedEvent[] = [];
  for await (const tracked of events) {
    seen.push(tracked);
    if (tracked.event.type === 'stream.synced') break;
  }
  return seen;
}
const types = (events: TrackedEvent[]) => events.map(({ event }) => event.type);

it('goes on after any cursor, with nothing lost, repeated or out of order', async () => {
  const log = makeLog();
  const ids = Array.from({ length: 20 }, (_, index) => log.append(mark(`in${index}`)));
  for (const [index, lastEventId] of ids.entries()) {
    const seen = await untilSynced(read(log, { lastEventId }));
    expect(seen.slice(0, -1).map(({ event }) => (event as { inputId: string }).inputId)).toEqual(
      ids.slice(index + 1).map((_, later) => `in${index + 1 + later}`),
    );
    const numbers = seen.map(({ event }) => event.seq);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  }
});

it('can be resumed from the events of its own that a reader got', async () => {
  const log = makeLog();
  log.append(mark('before'));
  const synced = (await untilSynced(read(log))).at(-1);
  log.append(mark('after'));
  const seen = await untilSynced(read(log, { lastEventId: synced?.id }));
  expect(seen[0]?.event).toMatchObject({ inputId: 'after' });
});

it('merges the deltas that a reader catches up on, of one item only', async () => {
  const log = makeLog();
  const first = log.append(mark('x'));
  log.append(delta('ab', 0));
  log.append(delta('cd', 2));
  log.append(delta('12', 0, 'b'));
  log.append(delta('ef', 4));
  const seen = await untilSynced(read(log, { lastEventId: first }));
  expect(seen.slice(0, -1).map(({ event }) => event)).toMatchObject([
    { itemId: 'a', text: 'abcd', offset: 0, seq: 3 },
    { itemId: 'b', text: '12', offset: 0, seq: 4 },
    { itemId: 'a', text: 'ef', offset: 4, seq: 5 },
  ]);
});

it('is live after stream.synced', async () => {
  const log = makeLog();
  const events = read(log);
  expect((await events.next()).value?.event.type).toBe('stream.synced');
  const next = events.next();
  log.append(mark('live'));
  expect((await next).value?.event).toMatchObject({ inputId: 'live' });
});

it('tells a newcomer what has been said of the open item', async () => {
  const item: Item = {
    itemId: 'a',
    runId: 'r',
    step: 1,
    kind: 'assistant_message',
    text: 'half',
    status: 'in_progress',
    createdAt: new Date(0),
  };
  const seen = await untilSynced(read(makeLog({ openItems: () => [item] })));
  expect(seen.map(({ event }) => event)).toMatchObject([
    { type: 'item.started', item: { text: '' } },
    { type: 'item.delta', text: 'half', offset: 0 },
    { type: 'stream.synced' },
  ]);
});

it.each([
  ['another epoch', 'abcdef012345-1', 'restarted'],
  ['the future', 'future', 'restarted'],
  ['nonsense', '¡hola!', 'cursor_expired'],
  ['an empty string', '', 'cursor_expired'],
])('a cursor of %s gets a snapshot, then is live', async (_, cursor, reason) => {
  const log = makeLog({ snapshot: async () => ({ items: [], nextCursor: 'older' }) });
  const epoch = log.append(mark('x')).split('-')[0];
  const events = read(log, { lastEventId: cursor === 'future' ? `${epoch}-999` : cursor });
  expect((await events.next()).value?.event).toMatchObject({
    type: 'stream.reset',
    reason,
    items: [],
    nextCursor: 'older',
  });
  expect((await events.next()).value?.event.type).toBe('stream.synced');
  const next = events.next();
  log.append(mark('live'));
  expect((await next).value?.event).toMatchObject({ inputId: 'live' });
});

it('forgets its oldest events over its limit, and says so to whoever needs them', async () => {
  const log = makeLog({ sessionBytes: 10_000 });
  const first = log.append(mark('first'));
  const slow = read(log, { from: 'start' });
  expect((await slow.next()).value?.event).toMatchObject({ inputId: 'first' });
  let last = '';
  for (let index = 0; index < 100; index++) last = log.append(mark(`in${index}`));
  // It is cut after the turn in which it grew.
  await new Promise((resolve) => setImmediate(resolve));
  expect(types(await untilSynced(read(log, { lastEventId: first })))).toEqual(['stream.reset', 'stream.synced']);
  expect(types(await untilSynced(read(log, { lastEventId: last })))).toEqual(['stream.synced']);
  expect(types(await untilSynced(slow))).toEqual(['stream.reset', 'stream.synced']);
});

it('over the limit of all logs, the least recently used is emptied', async () => {
  const budget = createLogBudget(2000);
  const [old, fresh] = [makeLog({ budget }), makeLog({ budget })];
  const cursors = [old, fresh].map((log) => log.append(mark('x')));
  for (let index = 0; index < 5; index++) fresh.append(mark('y'));
  old.append(mark('used again'));
  for (let index = 0; index < 1; index++) old.append(mark('z'));
  expect(types(await untilSynced(read(old, { lastEventId: cursors[0] })))).toEqual([
    'input.cancelled',
    'input.cancelled',
    'stream.synced',
  ]);
  expect(types(await untilSynced(read(fresh, { lastEventId: cursors[1] })))).toEqual(['stream.reset', 'stream.synced']);
});

it('readers end when the log is closed, once they have read it', async () => {
  const log = makeLog();
  const events = read(log, { from: 'start' });
  log.append(mark('last'));
  log.close();
  const seen = [];
  for await (const { event } of events) seen.push(event.type);
  expect(seen).toEqual(['input.cancelled', 'stream.synced']);
});

it('readers of an idle session end when the service stops; those of a running one see its end first', async () => {
  let state: SessionState = { state: 'running', runId: 'r', queued: 0 };
  const log = makeLog({ state: () => state });
  const draining = new AbortController();
  const events = read(log, { draining: draining.signal });
  await events.next();
  draining.abort();
  const next = events.next();
  state = idle;
  log.append({ type: 'session.state', ...idle });
  expect((await next).value?.event.type).toBe('session.state');
  expect((await events.next()).done).toBe(true);
});
