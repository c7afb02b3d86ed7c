import type { Item, NewSessionEvent, SessionEvent, TrackedEvent } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { createLiveStep, type LiveStep } from './live-step.ts';
import { createLogBudget } from './log-budget.ts';
import { createSessionEvents, type ReadOptions } from './session-events.ts';

const never = new AbortController().signal;

const itemOf = (itemId: string, fields: Partial<Item> = {}): Item => ({
  itemId,
  runId: 'run',
  step: 1,
  kind: 'assistant_message',
  text: '',
  status: 'completed',
  createdAt: new Date(0),
  ...fields,
});

/** A session whose stored events are a list. */
function useEvents({ sessionBytes, stored = [] }: { sessionBytes?: number; stored?: SessionEvent[] } = {}) {
  const items = new Map<string, Item>();
  const all = [...stored];
  const events = createSessionEvents({
    budget: createLogBudget(),
    log: 'l',
    seq: stored.at(-1)?.seq ?? 0,
    stored: async ({ after, limit }) => all.filter(({ seq }) => seq > after).slice(0, limit),
    hasItem: async (itemId) => items.has(itemId),
    snapshot: async () => ({ items: [...items.values()] }),
    state: () => ({ state: 'running', runId: 'run', queued: 0 }),
    openCalls: () => [],
    openRequests: () => [],
    ...(sessionBytes === undefined ? {} : { sessionBytes }),
  });
  return {
    events,
    forgetStored: (count: number) => void all.splice(0, count),
    append(...added: NewSessionEvent[]) {
      const numbered = added.map(
        (event, index) => ({ ...event, seq: events.lastSeq + 1 + index, ts: 0 }) as SessionEvent,
      );
      for (const event of added) if (event.type === 'item.completed') items.set(event.item.itemId, event.item);
      all.push(...numbered);
      events.append(numbered);
      return numbered;
    },
    live(id = 'abc'): LiveStep {
      return createLiveStep({ id, runId: 'run', step: 1, onChange: events.changed });
    },
    read(options: Partial<ReadOptions> = {}) {
      const stop = new AbortController();
      const reading = events.read({
        lastEventId: null,
        from: 'start',
        signal: stop.signal,
        draining: never,
        ...options,
      });
      return {
        stop: () => stop.abort(),
        async until(type: SessionEvent['type']): Promise<TrackedEvent[]> {
          const seen: TrackedEvent[] = [];
          for (;;) {
            const { value, done } = await reading.next();
            if (done) return seen;
            seen.push(value);
            if (value.event.type === type) return seen;
          }
        },
      };
    },
  };
}

const started: NewSessionEvent = { type: 'step.started', runId: 'run', model: 'm' };
const shortly = ({ event }: TrackedEvent) =>
  event.type === 'item.delta' ? `${event.offset} ${event.text}` : event.type;

it('what is being said is shown as it comes, and goes on at the place that was read', async () => {
  const { append, events, live, read } = useEvents();
  append(started);
  const step = live();
  events.setLive(step);
  step.open('assistant_message', {});
  step.add(0, 'one ');
  const reader = read();
  const seen = await reader.until('item.delta');
  expect(seen.map(shortly)).toEqual(['step.started', 'item.started', '0 one ']);
  step.add(0, 'two ');
  step.add(0, 'three');
  expect((await reader.until('item.delta')).map(shortly)).toEqual(['4 two three']);
  const again = read({ lastEventId: seen.at(-1)?.id ?? '' });
  expect((await again.until('stream.synced')).map(shortly)).toEqual(['4 two three', 'stream.synced']);
  append({ type: 'item.completed', item: itemOf('item_abc.0', { text: 'one two three!' }) });
  events.setLive(undefined);
  expect((await reader.until('item.completed')).map(shortly)).toEqual(['13 !', 'item.completed']);
});

it('whoever comes later is shown an item whole: its beginning, its text, its end', async () => {
  const { append, read } = useEvents();
  append(started, { type: 'item.completed', item: itemOf('item_abc.0', { text: 'said' }) });
  expect((await read().until('stream.synced')).map(shortly)).toEqual([
    'step.started',
    'item.started',
    '0 said',
    'item.completed',
    'stream.synced',
  ]);
});

it('a call is shown when its step is stored, and ends later', async () => {
  const { append, read } = useEvents();
  const item = itemOf('call_abc.0', {
    kind: 'tool_call',
    text: '{}',
    status: 'in_progress',
    toolCall: { callId: 'call_abc.0', name: 'x' },
  });
  append(started, { type: 'item.started', item });
  const reader = read();
  expect((await reader.until('stream.synced')).map(shortly)).toEqual([
    'step.started',
    'item.started',
    '0 {}',
    'stream.synced',
  ]);
  append({ type: 'item.completed', item: { ...item, status: 'completed' } });
  expect((await reader.until('item.completed')).map(shortly)).toEqual(['item.completed']);
});

it('what was being said in another process is taken back before anything else is shown', async () => {
  const { append, read } = useEvents();
  append(started);
  const seen = await read({ lastEventId: 'l-1~dead~i1c1~1:3' }).until('stream.synced');
  expect(seen.map(({ event }) => ('itemId' in event ? [event.type, event.itemId] : [event.type]))).toEqual([
    ['item.discarded', 'item_dead.0'],
    ['item.discarded', 'call_dead.1'],
    ['stream.synced'],
  ]);
});

it('events that are not in memory any more come from the store, and where they are gone the reader begins anew', async () => {
  const { append, forgetStored, read } = useEvents({ sessionBytes: 3_000 });
  for (let index = 0; index < 100; index++) append({ type: 'input.cancelled', inputId: `in${index}` });
  const seen = await read().until('stream.synced');
  expect(seen.map(({ event }) => event.seq)).toEqual([...Array.from({ length: 100 }, (_, index) => index + 1), 100]);
  forgetStored(50);
  expect((await read({ lastEventId: 'l-10' }).until('stream.synced')).map(shortly)).toEqual([
    'stream.reset',
    'stream.synced',
  ]);
  expect(await read({ lastEventId: 'l-50' }).until('stream.synced')).toHaveLength(51);
});

it.each([
  ['rubbish', 'cursor_expired'],
  ['0123456789ab-3', 'restarted'],
  ['l-7', 'restarted'],
  ['other-1', 'restarted'],
])('the cursor %j gets a reset: %s', async (lastEventId, reason) => {
  const { append, read } = useEvents();
  append(started);
  expect(await read({ lastEventId }).until('stream.synced')).toMatchObject([
    { event: { type: 'stream.reset', reason } },
    { event: { type: 'stream.synced' } },
  ]);
});

it('of the progress of a call a slow reader gets the newest', async () => {
  const { append, events, read } = useEvents();
  append(started);
  const reader = read();
  await reader.until('stream.synced');
  for (const message of ['1', '2', '3']) events.showProgress({ type: 'tool.progress', callId: 'c', message });
  events.showProgress({ type: 'tool.progress', callId: 'd', message: 'x' });
  const seen = [...(await reader.until('tool.progress')), ...(await reader.until('tool.progress'))];
  expect(seen.map(({ event }) => (event.type === 'tool.progress' ? event.message : event.type))).toEqual(['3', 'x']);
});

it('a text of five megabytes comes in parts that fit any queue', async () => {
  const { append, read } = useEvents();
  const text = '🎈'.repeat(1_300_000);
  append({ type: 'item.completed', item: itemOf('item_abc.0', { text }) });
  let joined = '';
  for (const { event } of await read().until('item.completed'))
    if (event.type === 'item.delta') {
      expect(event.text.length).toBeLessThanOrEqual(64 * 1024);
      expect(event.text.isWellFormed?.() ?? true).toBe(true);
      joined += event.text;
    }
  expect(joined === text).toBe(true);
});
