import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let provider: FakeProvider;
let stack: Stack;
let openai: OpenAI;
beforeAll(async () => {
  provider = await startFakeProvider();
  stack = await startStack({ providerUrl: provider.url });
  openai = new OpenAI({ baseURL: `${stack.llmProxy.url}/v1`, apiKey: keys.llmProxy, maxRetries: 0 });
});
afterAll(async () => {
  await stack.close();
  await provider.close();
});

const messages = [{ role: 'user' as const, content: 'Say hello!' }];

it('the official package streams through llm-proxy, each token as it comes', async () => {
  const asked = openai.chat.completions.create({
    model: 'fake-1',
    messages,
    stream: true,
    temperature: 1,
    stream_options: { include_usage: true },
  });
  const call = await provider.next();
  expect(call.body).toMatchObject({ model: 'fake-1', messages, temperature: 1, stream: true });
  await call.delta({ role: 'assistant', content: '' });
  await call.text('Hel');
  const chunks = (await asked)[Symbol.asyncIterator]();
  expect((await chunks.next()).value?.choices[0]?.delta.role).toBe('assistant');
  expect((await chunks.next()).value?.choices[0]?.delta.content).toBe('Hel');
  await call.text('lo');
  expect((await chunks.next()).value?.choices[0]?.delta.content).toBe('lo');
  await call.finish();
  expect((await chunks.next()).value?.choices[0]?.finish_reason).toBe('stop');
  expect((await chunks.next()).value).toMatchObject({
    choices: [],
    usage: { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 },
  });
  expect((await chunks.next()).done).toBe(true);
});

it('gives a whole answer as the provider gave it, with what only the provider knows', async () => {
  const said = {
    id: 'chatcmpl-x',
    object: 'chat.completion',
    created: 7,
    model: 'fake-1-2026',
    system_fingerprint: 'fp',
    choices: [0, 1].map((index) => ({
      index,
      finish_reason: 'stop',
      logprobs: { content: [{ token: 'A', logprob: -0.5, bytes: [65], top_logprobs: [] }], refusal: null },
      message: { role: 'assistant', content: `A${index}`, refusal: null, annotations: [] },
    })),
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, from_the_future: { x: 1 } },
  };
  const asked = { model: 'openai/fake-1', messages, n: 2, logprobs: true, seed: 7, from_the_future: [1.0] };
  const answer = openai.chat.completions.create(asked);
  const call = await provider.next();
  expect(call.body).toEqual({ ...asked, model: 'fake-1' });
  call.json(said);
  expect(await answer).toEqual(said);
});

it.each([
  [401, {}, OpenAI.InternalServerError, 502],
  [404, {}, OpenAI.NotFoundError, 404],
  [429, { 'retry-after': '7' }, OpenAI.RateLimitError, 429],
  [500, {}, OpenAI.InternalServerError, 502],
  [400, {}, OpenAI.BadRequestError, 400],
])(
  "turns the provider's %i into an error of OpenAI's shape, before and after the stream was asked for",
  async (status, headers, kind, expected) => {
    for (const stream of [true, false]) {
      const answer = openai.chat.completions.create({ model: 'fake-1', messages, stream });
      answer.catch(() => {});
      const call = await provider.next();
      call.response.writeHead(status, { 'content-type': 'application/json', ...headers });
      call.response.end(JSON.stringify({ error: { message: 'because', type: 'x', code: null, param: null } }));
      const error = await answer.then(
        () => undefined,
        (thrown) => thrown,
      );
      expect(error).toBeInstanceOf(kind);
      const said = status === 401 ? /refuses our key/ : /because/;
      expect(error).toMatchObject({ status: expected, message: expect.stringMatching(said) });
      if (status === 429) expect(error.headers.get('retry-after')).toBe('7');
    }
  },
);

it('a stream that breaks is an error, not an end', async () => {
  const asked = openai.chat.completions.create({ model: 'fake-1', messages, stream: true });
  const call = await provider.next();
  await call.text('Half');
  const stream = await asked;
  const read = async () => {
    for await (const _ of stream) call.response.destroy();
  };
  await expect(read()).rejects.toMatchObject({ code: 'provider_stream_lost' });
});

it('refuses a wrong key and a wrong body as OpenAI does', async () => {
  const stranger = new OpenAI({ baseURL: `${stack.llmProxy.url}/v1`, apiKey: 'wrong', maxRetries: 0 });
  await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  await expect(openai.chat.completions.create({ model: 'fake-1', messages: [] })).rejects.toBeInstanceOf(
    OpenAI.BadRequestError,
  );
});

it('no browser may take what it gets for anything but what it says it is', async () => {
  const headers = { 'x-internal-auth': keys.llmProxy };
  const post = (body: object) =>
    fetch(`${stack.llmProxy.url}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify(body) });
  for (const response of [
    await post({ model: 'builtin/echo', messages }),
    await post({ model: 'builtin/echo', messages, stream: true }),
    await post({ model: 'builtin/no-such', messages }),
    await fetch(`${stack.llmProxy.url}/v1/models`, { headers }),
    await fetch(`${stack.llmProxy.url}/v1/models`),
  ]) {
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    await response.text();
  }
});

it('lists the models, the default one first', async () => {
  const models = (await openai.models.list()).data.map(({ id }) => id);
  expect(models).toEqual(['openai/fake-1', 'builtin/agent', 'builtin/echo']);
});

it('builtin/agent calls the tool of a command, and tells what it answered', async () => {
  const tools = ['read_file', 'list_files', 'write_file', 'run_command'].map((name) => ({
    type: 'function' as const,
    function: { name },
  }));
  for (const [said, name, args] of [
    ['read src/index.ts', 'read_file', { path: 'src/index.ts' }],
    ['list .', 'list_files', { path: '.' }],
    ['write a.txt: привет: мир', 'write_file', { path: 'a.txt', content: 'привет: мир' }],
    ['run npm test', 'run_command', { command: 'npm test' }],
  ] as const) {
    const asked = [{ role: 'user' as const, content: said }];
    const { choices } = await openai.chat.completions.create({ model: 'builtin/agent', messages: asked, tools });
    expect(choices[0]?.finish_reason).toBe('tool_calls');
    const call = choices[0]?.message.tool_calls?.[0];
    if (call?.type !== 'function') throw new Error('there is no function call');
    expect([call.function.name, JSON.parse(call.function.arguments)]).toEqual([name, args]);
    const after = await openai.chat.completions.create({
      model: 'builtin/agent',
      tools,
      messages: [
        ...asked,
        { role: 'assistant', tool_calls: [call] },
        { role: 'tool', tool_call_id: call.id, content: 'the result' },
      ],
    });
    expect(after.choices[0]?.message.content).toContain('the result');
  }
});
