import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NewSessionEvent, SessionEvent } from './event.ts';
import type { Item } from './item.ts';
import { createEventMender, type History, mendEvents } from './mend-events.ts';

const usage = { inputTokens: 0, outputTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };
const PAGE = 3;

/** The state of a session after one of its events. */
interface State {
  items: Item[];
  ended: Set<string>;
  delivered: Map<string, string>;
  running: string | undefined;
}

interface Moment {
  event: NewSessionEvent;
  after: State;
}

/** A session that is told step by step; what was told stands in `moments`, with what the history held then. */
function createTale() {
  let state: State = { items: [], ended: new Set(), delivered: new Map(), running: undefined };
  const moments: Moment[] = [];
  const tell = (event: NewSessionEvent, change: Partial<State> = {}) => {
    state = { ...state, ...change };
    moments.push({ event, after: state });
  };
  return {
    moments,
    begin(runId: string, inputId: string) {
      const delivered = new Map(state.delivered).set(inputId, runId);
      tell({ type: 'input.delivered', inputId, runId }, { delivered, running: runId });
      const said: Item = { ...newItem(runId, `${runId}-u`), kind: 'user_message', inputId, status: 'completed' };
      tell({ type: 'item.started', item: { ...said, status: 'in_progress' } }, { items: [...state.items, said] });
      tell({ type: 'item.completed', item: said });
    },
    start(runId: string, itemId: string) {
      const item = newItem(runId, itemId);
      tell({ type: 'item.started', item }, { items: [...state.items, item] });
    },
    delta(itemId: string, text: string) {
      const offset = state.items.find((item) => item.itemId === itemId)?.text.length ?? 0;
      const items = state.items.map((item) => (item.itemId === itemId ? { ...item, text: item.text + text } : item));
      tell({ type: 'item.delta', itemId, text, offset }, { items });
    },
    discard(itemId: string) {
      const items = state.items.filter((item) => item.itemId !== itemId);
      tell({ type: 'item.discarded', itemId, reason: 'retried' }, { items });
    },
    complete(itemId: string) {
      const items = state.items.map((item) =>
        item.itemId === itemId ? { ...item, status: 'completed' as const } : item,
      );
      tell({ type: 'item.completed', item: items.find((item) => item.itemId === itemId) as Item }, { items });
    },
    end(runId: string) {
      tell(
        { type: 'run.finished', runId, status: 'completed', usage },
        { ended: new Set([...state.ended, runId]), running: undefined },
      );
    },
  };
}

function newItem(runId: string, itemId: string): Item {
  return {
    itemId,
    runId,
    step: 1,
    kind: 'assistant_message',
    text: '',
    status: 'in_progress',
    createdAt: new Date(0),
  };
}

function pageOf(items: Item[], before = items.length) {
  const from = Math.max(0, before - PAGE);
  return { items: items.slice(from, before), ...(from > 0 ? { nextCursor: String(from) } : {}) };
}

/** The history as it is at each time that it is asked. */
function historyAt(now: () => State): History {
  return {
    items: async (cursor) => pageOf(now().items, cursor === undefined ? undefined : Number(cursor)),
    run: async (runId) => ({ status: now().ended.has(runId) ? 'completed' : 'running', usage }),
    input: async (inputId) => {
      const runId = now().delivered.get(inputId);
      return runId === undefined ? { status: 'queued' } : { status: 'delivered', runId };
    },
  };
}

/** Some runs, each with items of which some are given up. */
const runs = fc.array(
  fc.array(
    fc.record({ texts: fc.array(fc.string({ minLength: 1, maxLength: 5 }), { maxLength: 4 }), isKept: fc.boolean() }),
    {
      maxLength: 4,
    },
  ),
  { minLength: 1, maxLength: 4 },
);
type Runs = typeof runs extends fc.Arbitrary<infer T> ? T : never;

function tellAll(all: Runs): Moment[] {
  const tale = createTale();
  for (const [number, items] of all.entries()) {
    const runId = `run${number}`;
    tale.begin(runId, `in${number}`);
    for (const [index, { texts, isKept }] of items.entries()) {
      const itemId = `${runId}-${index}`;
      tale.start(runId, itemId);
      for (const text of texts) tale.delta(itemId, text);
      if (isKept) tale.complete(itemId);
      else tale.discard(itemId);
    }
    tale.end(runId);
  }
  return tale.moments;
}

/** How the events reach a reader: each arrives (0), a delta is lost (-1), or so many are lost, and a reset stands for them. */
const fates = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: -1, max: 0 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 12 }) },
  ),
  { minLength: 1, maxLength: 60 },
);

/** What a reader is shown; `expect` names inputs of whose run it must see the end. */
async function read(moments: Moment[], lost: number[], runsOf: 'session' | 'expected inputs', inputIds: string[]) {
  let at = 0;
  const now = (): State =>
    moments[Math.min(at, moments.length - 1)]?.after ?? {
      items: [],
      ended: new Set(),
      delivered: new Map(),
      running: undefined,
    };
  const mender = createEventMender<SessionEvent>(historyAt(now), { runsOf });
  for (const inputId of inputIds) mender.expect(inputId);
  const shown: SessionEvent[] = [];
  const push = async (event: NewSessionEvent) => {
    shown.push(...(await mender.push({ ...event, seq: shown.length, ts: 0 } as unknown as SessionEvent)));
  };
  for (let n = 0; at < moments.length; n++) {
    const skipped = lost[n % lost.length] ?? 0;
    if (skipped > 0) {
      at = Math.min(at + skipped, moments.length) - 1;
      const { items, running } = now();
      await push({ type: 'stream.reset', reason: 'cursor_expired', ...pageOf(items) });
      await push({
        type: 'stream.synced',
        state: running === undefined ? 'idle' : 'running',
        ...(running === undefined ? {} : { runId: running }),
      } as NewSessionEvent);
    } else {
      const { event } = moments[at] as Moment;
      if (skipped === 0 || event.type !== 'item.delta') await push(event);
    }
    at++;
  }
  return shown;
}

/** Folds what was shown as the plainest reader would, and fails where it would be lost. */
function fold(shown: SessionEvent[]) {
  const texts = new Map<string, string>();
  const open = new Set<string>();
  const ended: string[] = [];
  for (const event of shown) {
    if (event.type === 'item.started') {
      expect(texts.has(event.item.itemId), `${event.item.itemId} is begun once`).toBe(false);
      texts.set(event.item.itemId, '');
      open.add(event.item.itemId);
    }
    if (event.type === 'item.delta') {
      expect(open.has(event.itemId), `${event.itemId} is open`).toBe(true);
      expect(event.offset).toBe(texts.get(event.itemId)?.length);
      texts.set(event.itemId, texts.get(event.itemId) + event.text);
    }
    if (event.type === 'item.completed') {
      expect(open.delete(event.item.itemId), `${event.item.itemId} ends once`).toBe(true);
      expect(event.item.text.startsWith(texts.get(event.item.itemId) ?? '-')).toBe(true);
      texts.set(event.item.itemId, event.item.text);
    }
    if (event.type === 'item.discarded') {
      expect(open.delete(event.itemId), `${event.itemId} is given up once`).toBe(true);
      texts.delete(event.itemId);
    }
    if (event.type === 'run.finished') ended.push(event.runId);
  }
  return { texts, open, ended };
}

/** The run that an event is of: its items are called after it. */
function runOf(event: SessionEvent): string | undefined {
  if ('runId' in event) return event.runId;
  const itemId = 'item' in event ? event.item.itemId : 'itemId' in event ? event.itemId : undefined;
  return itemId?.split('-')[0];
}

const storedOf = (moments: Moment[], runId: string) =>
  (moments.at(-1)?.after.items ?? []).filter((item) => item.runId === runId).map(({ itemId, text }) => [itemId, text]);

describe('whatever part of a session is lost on its way', () => {
  it('each run that a reader waits for is shown whole, as the history has it, and ends once', async () => {
    await fc.assert(
      fc.asyncProperty(runs, fates, async (all, lost) => {
        const moments = tellAll(all);
        const inputIds = all.map((_, number) => `in${number}`);
        const { texts, open, ended } = fold(await read(moments, lost, 'expected inputs', inputIds));
        expect(ended).toEqual(all.map((_, number) => `run${number}`));
        expect([...open]).toEqual([]);
        for (const runId of ended) {
          const stored = storedOf(moments, runId);
          expect(stored.map(([itemId = '']) => [itemId, texts.get(itemId)])).toEqual(stored);
        }
        expect(texts.size).toBe(moments.at(-1)?.after.items.length);
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  it('a reader of the whole session gets each run that it saw the beginning of whole, and what it was shown is what is stored', async () => {
    await fc.assert(
      fc.asyncProperty(runs, fates, async (all, lost) => {
        const moments = tellAll(all);
        const shown = await read(moments, lost, 'session', []);
        const begun = new Set(shown.flatMap((event) => (event.type === 'input.delivered' ? event.runId : [])));
        const { texts, open, ended } = fold(shown.filter((event) => begun.has(runOf(event) ?? '')));
        expect(ended).toEqual([...begun]);
        for (const runId of begun) {
          const stored = storedOf(moments, runId);
          expect(stored.map(([itemId = '']) => [itemId, texts.get(itemId)])).toEqual(stored);
        }
        expect([...open]).toEqual([]);
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});

it('an input that is cancelled within what was lost is told to be', async () => {
  const state: State = { items: [], ended: new Set(), delivered: new Map(), running: undefined };
  const history: History = { ...historyAt(() => state), input: async () => ({ status: 'cancelled' }) };
  async function* events() {
    yield { type: 'stream.reset', reason: 'restarted', items: [], seq: 1, ts: 0 } as unknown as SessionEvent;
    yield { type: 'stream.synced', state: 'idle', seq: 2, ts: 0 } as unknown as SessionEvent;
  }
  const types: string[] = [];
  for await (const event of mendEvents(events(), history, 'in0')) types.push(event.type);
  expect(types).toEqual(['stream.reset', 'stream.synced', 'input.cancelled']);
});

it('an input that still waits when a reset comes is followed all the same', async () => {
  const waiting = historyAt(() => ({ items: [], ended: new Set(), delivered: new Map(), running: undefined }));
  async function* events() {
    yield { type: 'stream.reset', reason: 'restarted', items: [], seq: 1, ts: 0 } as unknown as SessionEvent;
    yield { type: 'stream.synced', state: 'idle', seq: 2, ts: 0 } as unknown as SessionEvent;
    for (const { event } of tellAll([[{ texts: ['hi'], isKept: true }]]))
      yield { ...event, seq: 3, ts: 0 } as unknown as SessionEvent;
  }
  let last = '';
  for await (const event of mendEvents(events(), waiting, 'in0')) last = event.type;
  expect(last).toBe('run.finished');
});

it('a gap in a text is filled as soon as it is seen', async () => {
  const moments = tellAll([[{ texts: ['one ', 'two ', 'three'], isKept: true }]]);
  const lostAt = moments.findIndex(({ event }) => event.type === 'item.delta' && event.text === 'two ');
  let at = 0;
  const mender = createEventMender<SessionEvent>(
    historyAt(() => (moments[at] as Moment).after),
    { runsOf: 'session' },
  );
  for (; at <= lostAt + 1; at++) {
    const shown = await mender.push({ ...moments[at]?.event, seq: at, ts: 0 } as unknown as SessionEvent);
    if (at === lostAt - 1) at++;
    if (at === lostAt + 1) expect(shown).toMatchObject([{ type: 'item.delta', text: 'two three', offset: 4 }]);
  }
});
