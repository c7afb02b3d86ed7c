import type { Item, NewSessionEvent, SessionEvent } from '@codelab/protocol';
import { parseTail } from '@codelab/service-kit';
import { expect, it } from 'vitest';
import { createLiveStep, type LiveStep } from './live-step.ts';
import { createLogBudget } from './log-budget.ts';
import { createSessionEvents } from './session-events.ts';

type Seen = { id: string; event: SessionEvent };

const itemOf = (step: LiveStep, index: number): Item => ({ ...step.itemOf(index), status: 'completed' });

/** A session that says random things, and whoever reads them. */
function useSession(random: () => number) {
  const all: SessionEvent[] = [];
  const events = createSessionEvents({
    budget: createLogBudget(),
    log: 'l',
    seq: 0,
    stored: async ({ after, limit }) => all.filter(({ seq }) => seq > after).slice(0, limit),
    hasItem: async () => false,
    snapshot: async () => ({ items: [] }),
    state: () => ({ state: 'running', runId: 'run', queued: 0 }),
    openCalls: () => [],
    openRequests: () => [],
  });
  const append = (...added: NewSessionEvent[]) => {
    const numbered = added.map(
      (event, index) => ({ ...event, seq: events.lastSeq + 1 + index, ts: 0 }) as SessionEvent,
    );
    all.push(...numbered);
    events.append(numbered);
  };
  let step: LiveStep | undefined;
  let steps = 0;
  const store = () => {
    if (step === undefined) return;
    const said = step;
    append(...said.items.map((_, index) => ({ type: 'item.completed' as const, item: itemOf(said, index) })));
    events.setLive(undefined);
    step = undefined;
  };
  const act = () => {
    const kind = Math.floor(random() * 10);
    if (step === undefined || kind === 0) {
      store();
      step = createLiveStep({ id: `s${++steps}`, runId: 'run', step: steps, onChange: events.changed });
      append({ type: 'step.started', runId: 'run', model: 'm' });
      events.setLive(step);
      step.open('assistant_message', {});
    } else if (kind === 1) step.open('reasoning', {});
    else if (kind === 2) append({ type: 'input.cancelled', inputId: `in${all.length}` });
    else if (kind === 3) events.showProgress({ type: 'tool.progress', callId: 'c', message: String(all.length) });
    else if (kind === 4) {
      append({ type: 'item.discarded', itemId: 'unknown', reason: 'retried' });
    } else step.add(Math.floor(random() * step.items.length), `${Math.floor(random() * 1e6)} `);
  };
  return { events, act, store };
}

/** What a reader has in the end: texts by item, and each stored event once. */
function toStory(seen: Seen[]) {
  const texts = new Map<string, string>();
  const stored: number[] = [];
  for (const { event } of seen) {
    if (event.type === 'item.started') texts.set(event.item.itemId, '');
    if (event.type === 'item.delta') {
      expect(texts.get(event.itemId)?.length, event.itemId).toBe(event.offset);
      texts.set(event.itemId, texts.get(event.itemId) + event.text);
    }
    if (event.type === 'item.completed') expect(texts.get(event.item.itemId)).toBe(event.item.text);
    if (event.type === 'input.cancelled' || event.type === 'item.completed') stored.push(event.seq);
  }
  return { texts: [...texts], stored };
}

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const pause = () => new Promise((resolve) => setImmediate(resolve));

it.each(Array.from({ length: 30 }, (_, seed) => seed))('what is pushed is what is pulled, seed %i', async (seed) => {
  const random = randomOf(seed);
  const { events, act, store } = useSession(random);
  const stop = new AbortController();
  const how = {
    lastEventId: null,
    from: 'start',
    signal: stop.signal,
    draining: new AbortController().signal,
  } as const;

  const pulled: Seen[] = [];
  const pulling = (async () => {
    for await (const each of events.read(how)) pulled.push(each);
  })();
  const pushed: Seen[] = [];
  let release = () => {};
  const sink = {
    isFull: false,
    send(tail: string) {
      const { id, data } = parseTail<SessionEvent>(tail);
      pushed.push({ id, event: data });
    },
    drained: () =>
      new Promise<void>((resolve) => {
        release = resolve;
        if (!sink.isFull) resolve();
      }),
  };
  const pushing = events.push(sink, how);

  for (let round = 0; round < 60; round++) {
    for (let acts = random() * 5; acts > 0; acts--) act();
    if (random() < 0.2) {
      sink.isFull = !sink.isFull;
      if (!sink.isFull) release();
    }
    if (random() < 0.7) await pause();
  }
  sink.isFull = false;
  release();
  store();
  while (toStory(pushed).stored.at(-1) !== events.lastSeq || toStory(pulled).stored.at(-1) !== events.lastSeq)
    await pause();
  expect(toStory(pushed)).toEqual(toStory(pulled));

  // From each position the rest can be had, and nothing twice.
  for (const at of [0.2, 0.5, 0.9].map((share) => Math.floor(share * pushed.length))) {
    const rest: Seen[] = [];
    for await (const each of events.read({ ...how, lastEventId: (pushed[at] as Seen).id })) {
      if (each.event.type === 'stream.synced') break;
      rest.push(each);
    }
    expect(toStory([...pushed.slice(0, at + 1), ...rest])).toEqual(toStory(pulled));
  }
  stop.abort();
  await Promise.all([pulling, pushing]);
});

it('what a model says is sent before the call that adds it returns, unless the sink is full', async () => {
  const { events } = useSession(Math.random);
  const sent: string[] = [];
  const stop = new AbortController();
  let release = () => {};
  const sink = {
    isFull: false,
    send: (tail: string) => void sent.push(tail),
    drained: () =>
      new Promise<void>((resolve) => {
        release = resolve;
      }),
  };
  const draining = new AbortController().signal;
  const pushing = events.push(sink, { lastEventId: null, from: 'start', signal: stop.signal, draining });
  const step = createLiveStep({ id: 's1', runId: 'run', step: 1, onChange: events.changed });
  events.setLive(step);
  while (!sent.some((tail) => tail.includes('stream.synced'))) await pause();
  step.open('assistant_message', {});
  step.add(0, 'one');
  const before = sent.length;
  step.add(0, 'two');
  expect(sent.length).toBe(before + 1);
  sink.isFull = true;
  step.add(0, 'three');
  step.add(0, 'four');
  await pause();
  expect(sent.length).toBe(before + 1);
  sink.isFull = false;
  release();
  while (sent.length < before + 2) await pause();
  const last = parseTail<Extract<SessionEvent, { type: 'item.delta' }>>(sent.at(-1) as string);
  expect([last.data.offset, last.data.text]).toEqual([6, 'threefour']);
  stop.abort();
  await pushing;
});
