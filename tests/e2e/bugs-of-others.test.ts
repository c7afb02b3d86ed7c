import type OpenAI from 'openai';
import { expect, it } from 'vitest';
import type { ProviderCall } from '../support/fake-provider.ts';
import { keys } from '../support/stack.ts';
import { useWires } from '../support/wires.ts';

// What gateways between clients and models are known to get wrong, one test each.

const wires = useWires({ LLM_PROXY__KEEP_ALIVE_MS: '50' });

const messages = [{ role: 'user' as const, content: 'hi' }];
const post = (path: string, body: object) =>
  fetch(`${wires.stack.llmProxy.url}${path}`, {
    method: 'POST',
    headers: { 'x-api-key': keys.llmProxy },
    body: JSON.stringify({ messages, max_tokens: 10, ...body }),
  });
/** An answer of Anthropic's wire with text before, between and after calls. */
const mixed = async (call: ProviderCall) => {
  await call.event('message_start', {
    message: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      content: [],
      model: 'c',
      usage: { input_tokens: 10, cache_read_input_tokens: 100, cache_creation_input_tokens: 5, output_tokens: 1 },
    },
  });
  await call.event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
  await call.event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Before. ' } });
  await call.event('content_block_stop', { index: 0 });
  for (const [index, id] of [
    [1, 'a'],
    [3, 'b'],
  ] as const) {
    await call.event('content_block_start', {
      index,
      content_block: { type: 'tool_use', id, name: `tool_${id}`, input: {} },
    });
    for (const part of ['', '{"path": "', 'src/', 'é.ts"', ', "lines": [1, 2]}'])
      await call.event('content_block_delta', { index, delta: { type: 'input_json_delta', partial_json: part } });
    await call.event('content_block_stop', { index });
    await call.event('content_block_start', { index: index + 1, content_block: { type: 'text', text: '' } });
    await call.event('content_block_delta', { index: index + 1, delta: { type: 'text_delta', text: 'And. ' } });
    await call.event('content_block_stop', { index: index + 1 });
  }
  await call.event('message_delta', {
    delta: { stop_reason: 'tool_use' },
    usage: { input_tokens: 10, cache_read_input_tokens: 100, cache_creation_input_tokens: 5, output_tokens: 20 },
  });
  await call.event('message_stop');
  call.response.end();
};
const collect = () =>
  wires.openai.chat.completions
    .stream({ model: 'anthropic/c', messages, stream_options: { include_usage: true } })
    .finalChatCompletion();

it('tool calls are numbered among themselves, whatever text stands between them', async () => {
  wires.answer = mixed;
  const seen: Array<[number, string | undefined]> = [];
  for await (const chunk of await wires.openai.chat.completions.create({
    model: 'anthropic/c',
    messages,
    stream: true,
  }))
    for (const call of chunk.choices[0]?.delta.tool_calls ?? [])
      if (call.id !== undefined) seen.push([call.index, call.id]);
  expect(seen).toEqual([
    [0, 'a'],
    [1, 'b'],
  ]);
});

it('the reason of the stop is right when text and tools mix', async () => {
  wires.answer = mixed;
  expect((await collect()).choices[0]?.finish_reason).toBe('tool_calls');
  wires.answer = async (call) => {
    await call.text('I look. ');
    await call.delta({
      tool_calls: [{ index: 0, id: 'x', type: 'function', function: { name: 'look', arguments: '{}' } }],
    });
    await call.text(' Done.');
    await call.finish('stop');
  };
  expect(
    (await wires.anthropic.messages.stream({ model: 'openai/g', messages, max_tokens: 10 }).finalMessage()).stop_reason,
  ).toBe('tool_use');
});

it('no input_json_delta is dropped', async () => {
  wires.answer = mixed;
  const calls = (await collect()).choices[0]?.message.tool_calls ?? [];
  expect(calls.map((call) => (call.type === 'function' ? JSON.parse(call.function.arguments) : call))).toEqual([
    { path: 'src/é.ts', lines: [1, 2] },
    { path: 'src/é.ts', lines: [1, 2] },
  ]);
});

it('tokens of the cache are counted once', async () => {
  wires.answer = mixed;
  expect((await collect()).usage).toMatchObject({
    prompt_tokens: 115,
    completion_tokens: 20,
    total_tokens: 135,
    prompt_tokens_details: { cached_tokens: 100 },
  });
});

it.each([
  [
    'passed through',
    'openai/g',
    async (call: ProviderCall) => {
      await call.text('x');
      await call.raw(
        `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\ndata: [DONE]\n\ndata: [DONE]\n\n`,
      );
      await call.raw('data: {"choices":[{"index":0,"delta":{"content":"too late"}}]}\n\ndata: [DONE]\n\n');
      call.response.end();
    },
  ],
  [
    'passed through from a provider that forgets it',
    'openai/g',
    async (call: ProviderCall) => {
      await call.raw(
        `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }] })}\n\n`,
      );
      call.response.end();
    },
  ],
  ['translated', 'anthropic/c', mixed],
  ['of our own', 'builtin/echo', () => {}],
] as const)('[DONE] is sent once: %s', async (_, model, act) => {
  wires.answer = act;
  const text = await (await post('/v1/chat/completions', { model, stream: true })).text();
  expect(text.match(/\[DONE\]/g)).toHaveLength(1);
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  expect(text).not.toContain('too late');
});

it('message_start and message_stop are sent once', async () => {
  wires.answer = async (call) => {
    const start = {
      message: {
        id: 'm',
        type: 'message',
        role: 'assistant',
        content: [],
        model: 'c',
        usage: { input_tokens: 1, output_tokens: 1 },
      },
    };
    await call.event('message_start', start);
    await call.event('ping');
    await call.event('message_start', start);
    await call.event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
    await call.event('message_start', start);
    await call.event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'whole' } });
    await call.event('from_the_future', { x: 1 });
    await call.event('content_block_stop', { index: 0 });
    await call.event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } });
    await call.event('message_stop');
    await call.event('message_stop');
    call.response.end();
  };
  const text = await (await post('/v1/messages', { model: 'anthropic/c', stream: true })).text();
  expect(text.match(/^event: message_start$/gm)).toHaveLength(1);
  expect(text.match(/^event: message_stop$/gm)).toHaveLength(1);
  expect(text).toContain('from_the_future');
  const message = await wires.anthropic.messages
    .stream({ model: 'anthropic/c', messages, max_tokens: 10 })
    .finalMessage();
  expect(message.content).toMatchObject([{ type: 'text', text: 'whole' }]);
});

it.each([
  ['of OpenAI', 'openai/g', (call: ProviderCall) => call.text('x').then(() => call.finish())],
  ['of Anthropic', 'anthropic/c', mixed],
  ['of builtin', 'builtin/echo', () => {}],
] as const)('streams %s have their usage', async (_, model, act) => {
  wires.answer = act;
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (const chunk of await wires.openai.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  }))
    usage = chunk.usage ?? usage;
  expect(usage?.completion_tokens).toBeGreaterThan(0);
  wires.answer = act;
  const message = await wires.anthropic.messages.stream({ model, messages, max_tokens: 10 }).finalMessage();
  expect(message.usage.output_tokens).toBeGreaterThan(0);
});

it.each([
  ['/v1/chat/completions', 'openai/g'],
  ['/v1/chat/completions', 'anthropic/c'],
  ['/v1/messages', 'anthropic/c'],
  ['/v1/messages', 'openai/g'],
])('%s sends something while %s thinks', async (path, model) => {
  const asked = new Promise<ProviderCall>((resolve) => {
    wires.answer = resolve;
  });
  const response = await post(path, { model, stream: true });
  const call = await asked;
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const { value } = await reader.read();
  expect(new TextDecoder().decode(value)).toBe(': keep-alive\n\n');
  await reader.cancel();
  await call.aborted;
});

it("Portkey's: the request upstream is cancelled when the client goes, in the middle of a stream too", async () => {
  const asked = new Promise<ProviderCall>((resolve) => {
    wires.answer = async (call) => {
      await call.text('half');
      resolve(call);
    };
  });
  const stream = await wires.openai.chat.completions.create({ model: 'openai/g', messages, stream: true });
  for await (const _ of stream) stream.controller.abort();
  await (await asked).aborted;
});
