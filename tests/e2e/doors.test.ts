import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doors, fullDoors } from '../support/doors.ts';
import { conversationOf, type FakeProvider, type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { type Stack, startStack } from '../support/stack.ts';

let provider: FakeProvider;
let stack: Stack;
beforeAll(async () => {
  // Says what the last message tells it to.
  provider = await startFakeProvider(async (call) => {
    const said: string = call.body.messages.at(-1).content;
    if (said === 'fail at once') {
      call.response.writeHead(500, { 'content-type': 'application/json' });
      call.response.end('{"error":{"message":"out of order"}}');
    } else if (said === 'break in the middle') {
      await call.text('Half an ');
      call.response.destroy();
    } else if (said === 'wrong key') {
      call.response.writeHead(401, { 'content-type': 'application/json' });
      call.response.end('{"error":{"message":"no such key"}}');
    } else {
      const words = `I heard: ${said}`.split(/(?<= )/);
      // What is large comes in pieces of many words.
      const size = Math.ceil(words.length / 500);
      for (let at = 0; at < words.length; at += size) await call.text(words.slice(at, at + size).join(''));
      await call.finish();
    }
  });
  // An answer that breaks off is asked for again, but not with ever longer pauses.
  stack = await startStack({ providerUrl: provider.url, variables: { AGENT_RUNTIME__STEP_RETRIES: '1' } });
});
afterAll(async () => {
  await stack.close();
  await provider.close();
});

let sessions = 0;
const newSession = () => `doors-${++sessions}`;

describe.each(doors)('$name', (door) => {
  it('gives the answer, and one end', async () => {
    const said = 'Привет, мир! 👩‍🚀 "quotes" \\ and\nlines';
    expect(await door.ask(stack, newSession(), said)).toEqual({ text: `I heard: ${said}`, ends: 1 });
  });

  it('goes on with the session', async () => {
    const session = newSession();
    await door.ask(stack, session, 'one');
    expect(await door.ask(stack, session, 'two')).toEqual({ text: 'I heard: two', ends: 1 });
    expect(conversationOf(provider.calls.at(-1) as ProviderCall)).toHaveLength(3);
  });

  it.each([
    ['fail at once', 'PROVIDER_UNAVAILABLE'],
    ['break in the middle', 'PROVIDER_STREAM_LOST'],
    ['wrong key', 'PROVIDER_AUTH'],
  ])('ends with an error, never with text of it, when the provider does: %s', async (said, code) => {
    const session = newSession();
    const answer = await door.ask(stack, session, said);
    expect(answer).toMatchObject({ ends: 1, error: code });
    expect(['', 'Half an ']).toContain(answer.text);
    // The session lives on.
    expect(await door.ask(stack, session, 'again')).toEqual({ text: 'I heard: again', ends: 1 });
  });

  it.each([
    ['empty content', ''],
    ['blank content', '  \n '],
    ['no text', 42],
    ['no content', undefined],
    ['more than 1 MiB', 'x'.repeat(1024 * 1024 + 1)],
    ['more than 1 MiB of UTF-8', 'я'.repeat(600_000)],
  ])('refuses %s, and loses nothing', async (_, content) => {
    const session = newSession();
    expect(await door.ask(stack, session, content)).toEqual({ text: '', ends: 1, error: 'VALIDATION' });
    expect(await door.ask(stack, session, 'then this')).toEqual({ text: 'I heard: then this', ends: 1 });
  });

  it.each([
    ['1 character', 'x'],
    ['1,000 characters', 'x'.repeat(1000)],
    ['strange characters', 'a/../b'],
  ])('refuses a session id of %s', async (_, session) => {
    expect(await door.ask(stack, session, 'Hello')).toEqual({
      text: '',
      ends: 1,
      error: expect.stringMatching(/^(VALIDATION|NOT_FOUND)$/),
    });
  });

  it('takes 512 KiB', async () => {
    const said = 'слово '.repeat(50_000).trim();
    expect((await door.ask(stack, newSession(), said)).text).toHaveLength(said.length + 9);
  });
});

describe('an unknown model', () => {
  let bare: Stack;
  beforeAll(async () => {
    bare = await startStack();
  });
  afterAll(() => bare.close());

  it.each(fullDoors)('ends with MODEL_NOT_FOUND: $name', async (door) => {
    const session = newSession();
    expect(await door.ask(bare, session, 'Hello', 'no/such-model')).toEqual({
      text: '',
      ends: 1,
      error: 'MODEL_NOT_FOUND',
    });
    expect(await door.ask(bare, session, 'Hello', 'builtin/echo')).toEqual({ text: 'You said: Hello', ends: 1 });
  });

  it.each(doors)(
    'nothing configured: builtin/agent answers, quotes, and says how to add a key: $name',
    async (door) => {
      const { text } = await door.ask(bare, newSession(), 'Привет 👋');
      expect(text).toContain('Привет 👋');
      expect(text).toContain('builtin/agent');
      expect(text).toContain('LLM_PROXY__OPENAI_API_KEY');
    },
  );
});
