import { expect, it } from 'vitest';
import { conversationOf } from '../support/fake-provider.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

it('brings each token to the SDK before the provider sends the next one', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('Hello');
  const tokens = run.textStream[Symbol.asyncIterator]();
  const call = await story.provider.next();
  expect(conversationOf(call)).toEqual([{ role: 'user', content: 'Hello' }]);
  expect(call.headers.authorization).toBe('Bearer sk-test');
  for (const word of ['One', ' two', ' three', ' четыре', ' 👩‍👩‍👧‍👦']) {
    await call.text(word);
    // Would wait for ever if any hop held a token back until the next one.
    expect(await tokens.next()).toEqual({ value: word, done: false });
  }
  await call.finish();
  expect((await tokens.next()).done).toBe(true);
  const result = await run.finished();
  expect(result).toMatchObject({
    status: 'completed',
    text: 'One two three четыре 👩‍👩‍👧‍👦',
    usage: { inputTokens: 3, outputTokens: 5 },
  });
});

it('keeps characters whole that the network splits at every byte', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('Привет');
  const call = await story.provider.next();
  expect(conversationOf(call)[0]?.content).toBe('Привет');
  const said = 'Ёжик 👩‍🚀 — 你好 🇺🇦';
  const chunk = { choices: [{ index: 0, delta: { content: said }, finish_reason: null }] };
  for (const byte of Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`)) await call.raw(Uint8Array.of(byte));
  await call.finish();
  expect((await run.finished()).text).toBe(said);
});

it('joins a surrogate pair that the provider splits over two chunks', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('x');
  const call = await story.provider.next();
  await call.text('a\ud83d');
  await call.text('\ude00b');
  await call.finish();
  const deltas: string[] = [];
  for await (const event of run.events) if (event.type === 'item.delta') deltas.push(event.text);
  expect(deltas.join('')).toBe('a😀b');
  expect(deltas.every((text) => text.isWellFormed())).toBe(true);
});

it('shows events in the order of PROTOCOL.md, with numbers that never decrease', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('Hello');
  const call = await story.provider.next();
  await call.delta({ reasoning_content: 'Hm.' });
  await call.text('Hi');
  await call.finish();
  await run.finished();
  const events = [];
  for await (const event of session.events({ from: 'start' })) {
    events.push(event);
    if (event.type === 'stream.synced') break;
  }
  expect(events.map(({ type }) => type)).toEqual([
    'session.updated',
    'input.accepted',
    'session.updated',
    'session.state',
    'input.delivered',
    'run.started',
    'item.started',
    'item.completed',
    'step.started',
    'item.started',
    'item.delta',
    'item.completed',
    'item.started',
    'item.delta',
    'item.completed',
    'step.finished',
    'run.finished',
    'session.state',
    'stream.synced',
  ]);
  const numbers = events.map(({ seq }) => seq);
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  // Only stored events have a number of their own: a delta, and the beginning of an item, have that of the event before.
  const own = events.filter(({ type }) => !['item.started', 'item.delta', 'stream.synced'].includes(type));
  expect(new Set(own.map(({ seq }) => seq)).size).toBe(own.length);
});

it('gives the model the whole conversation', async () => {
  const session = await story.stack.client().sessions.create();
  const first = session.send('My name is Ann.');
  const call = await story.provider.next();
  await call.text('Hello Ann.');
  await call.finish();
  await first.finished();
  session.send('Who am I?');
  expect(conversationOf(await story.provider.next())).toEqual([
    { role: 'user', content: 'My name is Ann.' },
    { role: 'assistant', content: 'Hello Ann.' },
    { role: 'user', content: 'Who am I?' },
  ]);
});

it('queues what is sent while a run is active, or refuses it', async () => {
  const session = await story.stack.client().sessions.create();
  const first = session.send('one');
  const call = await story.provider.next();
  const second = session.send('two');
  await expect(session.send('three', { whenBusy: 'reject' }).finished()).rejects.toMatchObject({
    code: 'SESSION_BUSY',
    retryable: true,
  });
  await call.text('1');
  await call.finish();
  expect((await first.finished()).text).toBe('1');
  const next = await story.provider.next();
  await next.text('2');
  await next.finish();
  expect((await second.finished()).text).toBe('2');
  expect(story.provider.calls).toHaveLength(2);
});

it('answers a repeated input with the first answer, and refuses another content under its id', async () => {
  const session = await story.stack.client().sessions.create();
  const first = session.send('one', { inputId: 'mine' });
  const call = await story.provider.next();
  await call.text('1');
  await call.finish();
  await first.finished();
  expect((await session.send('one', { inputId: 'mine' }).finished()).text).toBe('1');
  await expect(session.send('other', { inputId: 'mine' }).finished()).rejects.toMatchObject({
    code: 'IDEMPOTENCY_MISMATCH',
  });
  expect(story.provider.calls).toHaveLength(1);
});
