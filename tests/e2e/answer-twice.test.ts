import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Door, gatewayReaders, gatewayStreams, runtimeReaders, runtimeStreams } from '../support/doors.ts';
import { type FakeProvider, type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
let provider: FakeProvider;
/** What the model says when it is asked again. */
let again: string[];
/** The calls that stand in the middle of their first answer, by what they were asked. */
const halves = new Map<string, ProviderCall>();

beforeEach(async () => {
  halves.clear();
  const asked = new Set<string>();
  provider = await startFakeProvider(async (call) => {
    const question = call.body.messages.at(-1).content as string;
    if (asked.has(question)) {
      for (const text of again) await call.text(text);
      return call.finish();
    }
    asked.add(question);
    await call.text('One two ');
    halves.set(question, call);
  });
  stack = await startStack({ providerUrl: provider.url, variables: { LLM_PROXY__BREAKER_FAILURES: '0' } });
});
afterEach(async () => {
  await stack.close();
  await provider.close();
});

/** Asks through each of `doors` in a session of its own; all answers break off in the middle, and are said again. */
async function askTwice(doors: Door[], breakOff: () => Promise<void>) {
  const asked = doors.map(async (door, index) => ({
    door: door.name,
    ...(await door.ask(stack, `twice-${index}`, `question ${index}`)),
  }));
  const shown = doors.map((_, index) => halfShown(`twice-${index}`));
  for (const answer of asked) answer.catch(() => {});
  await Promise.all(shown);
  await breakOff();
  const answers = await Promise.all(asked);
  const client = stack.client();
  return Promise.all(
    answers.map(async (answer, index) => {
      const { items } = await (await client.sessions.get(`twice-${index}`)).items({ limit: 200 });
      const said = items.filter(({ kind }) => kind === 'assistant_message');
      return { ...answer, stored: said.map(({ text }) => text).join('') };
    }),
  );
}

/** Resolves when half an answer has come to a reader of the session. */
async function halfShown(sessionId: string): Promise<void> {
  const client = stack.client();
  const session = await client.sessions.create({ sessionId });
  for await (const event of session.events()) if (event.type === 'item.delta') break;
  client.close();
}

const breaks: Array<{ name: string; streams: Door[]; readers: Door[]; breakOff: () => Promise<void> }> = [
  {
    name: 'agent-runtime restarts',
    streams: gatewayStreams,
    readers: gatewayReaders,
    breakOff: () => stack.restartRuntime(),
  },
  {
    name: 'the provider breaks off',
    streams: [...gatewayStreams, ...runtimeStreams],
    readers: [...gatewayReaders, ...runtimeReaders],
    async breakOff() {
      for (const { response } of halves.values()) response.destroy();
    },
  },
  {
    name: 'llm-proxy restarts',
    streams: [...gatewayStreams, ...runtimeStreams],
    readers: [...gatewayReaders, ...runtimeReaders],
    breakOff: () => stack.restartLlmProxy(),
  },
];

describe.each(breaks)('$name in the middle of an answer', ({ streams, readers, breakOff }) => {
  it('what is shown goes on where the answer begins with it', async () => {
    again = ['One', ' two three', ' four'];
    const doors = [...streams, ...readers];
    const answers = await askTwice(doors, breakOff);
    const text = 'One two three four';
    expect(answers).toEqual(doors.map(({ name }) => ({ door: name, text, ends: 1, stored: text })));
  });

  it('an answer that begins otherwise is an error to who was shown another, and right for who reads it whole', async () => {
    again = ['Eins zwei drei'];
    const answers = await askTwice([...streams, ...readers], breakOff);
    const stored = 'Eins zwei drei';
    expect(answers).toEqual([
      ...streams.map(({ name }) => ({ door: name, text: 'One two ', ends: 1, error: 'ANSWER_REPLACED', stored })),
      ...readers.map(({ name }) => ({ door: name, text: stored, ends: 1, stored })),
    ]);
  });

  it('an answer that ends before what was shown of it is an error, too', async () => {
    again = ['One'];
    const answers = await askTwice([...streams, ...readers], breakOff);
    expect(answers).toEqual([
      ...streams.map(({ name }) => ({
        door: name,
        text: 'One two ',
        ends: 1,
        error: 'ANSWER_REPLACED',
        stored: 'One',
      })),
      ...readers.map(({ name }) => ({ door: name, text: 'One', ends: 1, stored: 'One' })),
    ]);
  });

  it("run.events shows what was given up, and each item's end", async () => {
    again = ['Three'];
    const session = await stack.client().sessions.create({ sessionId: 'events' });
    const half = halfShown('events');
    const ends = new Map<string, string>();
    const watched = (async () => {
      for await (const event of session.send('go').events) {
        if (event.type === 'item.started' && event.item.kind === 'assistant_message') ends.set(event.item.itemId, '');
        if (event.type === 'item.completed' && ends.has(event.item.itemId))
          ends.set(event.item.itemId, event.item.text);
        if (event.type === 'item.discarded') ends.set(event.itemId, event.type);
      }
    })();
    await half;
    await breakOff();
    await watched;
    expect([...ends.values()]).toEqual(['item.discarded', 'Three']);
  });
});
