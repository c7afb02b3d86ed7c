import { describe, expect, it } from 'vitest';
import { useStory } from '../support/story.ts';

const story = useStory();

const words = Array.from({ length: 200 }, (_, index) => ` word${index}`);

describe.each([
  ['the SDK and gateway', () => story.stack.front],
  ['gateway and agent-runtime', () => story.stack.back],
])('a cut between %s', (_, proxy) => {
  it('loses no token and repeats none, however often it happens', async () => {
    const session = await story.stack.client().sessions.create();
    const run = session.send('go');
    const call = await story.provider.next();
    let text = '';
    let onText = () => {};
    const speak = async () => {
      for (const [index, word] of words.entries()) {
        await call.text(word);
        if (index % 20 !== 10) continue;
        const back = proxy().nextConnection();
        proxy().cut();
        // Said while nobody is connected.
        const missed = ` meanwhile${index}`;
        await call.text(missed);
        await back;
        const caughtUp = new Promise<void>((resolve) => {
          onText = () => text.endsWith(missed) && resolve();
        });
        onText();
        await caughtUp;
      }
      await call.finish();
    };
    const speaking = speak();
    let seq = 0;
    for await (const event of run.events) {
      expect(event.seq).toBeGreaterThanOrEqual(seq);
      seq = event.seq;
      if (event.type !== 'item.delta') continue;
      expect(event.offset).toBe(text.length);
      text += event.text;
      onText();
    }
    await speaking;
    expect(text).toBe(words.map((word, index) => (index % 20 === 10 ? `${word} meanwhile${index}` : word)).join(''));
    expect(proxy().connections).toBeGreaterThanOrEqual(11);
    expect(story.provider.calls).toHaveLength(1);
  });

  it('does not lose a message that is sent at that moment, nor send it twice', async () => {
    const client = story.stack.client();
    const session = await client.sessions.create();
    for (let round = 0; round < 10; round++) {
      const run = session.send(`message ${round}`);
      // Before, while and after the message crosses: microtasks later each time.
      for (let tick = 0; tick < round * 3; tick++) await new Promise((resolve) => setImmediate(resolve));
      proxy().cut();
      const call = await story.provider.next();
      await call.text(`answer ${round}`);
      await call.finish();
      expect((await run.finished()).text).toBe(`answer ${round}`);
    }
    expect(story.provider.calls).toHaveLength(10);
    const { items } = await session.items({ limit: 200 });
    expect(items.map(({ text }) => text)).toEqual(
      Array.from({ length: 10 }, (_, round) => [`message ${round}`, `answer ${round}`]).flat(),
    );
  });
});

it('goes on from a cursor in another client, with what came in between', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.text('one');
  let lastEventId = '';
  for await (const event of run.events) {
    lastEventId = event.id;
    if (event.type === 'item.delta') break;
  }
  await call.text(' two');
  await call.text(' three');
  await call.finish();
  await run.finished();
  const again = await story.stack.client().sessions.get(session.id);
  const types: string[] = [];
  let text = '';
  for await (const event of again.events({ lastEventId })) {
    types.push(event.type);
    if (event.type === 'item.delta') text += event.text;
    if (event.type === 'stream.synced') break;
  }
  expect(text).toBe(' two three');
  expect(types.filter((type) => type !== 'item.delta')).toEqual([
    'item.completed',
    'step.finished',
    'run.finished',
    'session.state',
    'stream.synced',
  ]);
});

it('answers a cursor of another epoch, or of nothing, with a snapshot', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.text('said');
  await call.finish();
  await run.finished();
  for (const [lastEventId, reason] of [
    ['0123456789ab-3', 'restarted'],
    ['rubbish', 'cursor_expired'],
  ] as const) {
    const events = [];
    for await (const event of session.events({ lastEventId })) {
      events.push(event);
      if (event.type === 'stream.synced') break;
    }
    expect(events).toMatchObject([
      { type: 'stream.reset', reason, items: [{ text: 'go' }, { text: 'said' }] },
      { type: 'stream.synced', state: 'idle' },
    ]);
  }
});

it('goes on with a run after a restart of agent-runtime, from its last stored step, and its watcher sees the end', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.text('half an ans');
  const tokens = run.textStream[Symbol.asyncIterator]();
  expect((await tokens.next()).value).toBe('half an ans');
  const rest = tokens.next();
  rest.catch(() => {});
  await story.stack.restartRuntime();
  await call.aborted;
  const again = await story.provider.next();
  expect(again.body.messages).toEqual(call.body.messages);
  await again.text('the whole answer');
  await again.finish();
  await expect(rest).rejects.toMatchObject({ code: 'ANSWER_REPLACED' });
  expect(await run.finished()).toMatchObject({ status: 'completed', text: 'the whole answer' });
  const { items } = await session.items();
  expect(items.map(({ text }) => text)).toEqual(['go', 'the whole answer']);
});
