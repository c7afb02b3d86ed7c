import type Anthropic from '@anthropic-ai/sdk';
import type OpenAI from 'openai';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ProviderCall } from '../support/fake-provider.ts';
import { keys } from '../support/stack.ts';
import { useWires } from '../support/wires.ts';

// The official client of one wire, with a provider of the other wire behind llm-proxy.

const wires = useWires();
const last = () => wires.provider.calls.at(-1) as ProviderCall;

const nested = (depth: number) => `${'{"a":['.repeat(depth / 2)}1${']}'.repeat(depth / 2)}`;
const toolDelta = (index: number, args: string, id?: string, name?: string) => ({
  tool_calls: [
    {
      index,
      ...(id === undefined ? {} : { id, type: 'function' }),
      function: { ...(name === undefined ? {} : { name }), arguments: args },
    },
  ],
});

describe("Anthropic's client, OpenAI's wire behind it", () => {
  const body = { model: 'openai/gpt-x', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hi' }] };
  const both = async (request: Anthropic.MessageCreateParamsNonStreaming) => {
    const streamed = await wires.anthropic.messages.stream(request).finalMessage();
    const whole = await wires.anthropic.messages.create(request);
    const shape = ({ content, stop_reason, usage }: Anthropic.Message) => ({
      content: content.map((block) => JSON.parse(JSON.stringify(block))),
      stop_reason,
      usage: { in: usage.input_tokens, out: usage.output_tokens, cached: usage.cache_read_input_tokens },
    });
    expect(shape(streamed)).toEqual(shape(whole));
    expect(streamed).toMatchObject({ type: 'message', role: 'assistant', model: 'fake-1' });
    return shape(whole);
  };

  it('text, with its usage: what was cached is counted once', async () => {
    wires.answer = async (call) => {
      await call.delta({ role: 'assistant', content: '' });
      await call.text('Hello ');
      await call.text('мир 🌍');
      const usage = {
        prompt_tokens: 10,
        completion_tokens: 4,
        total_tokens: 14,
        prompt_tokens_details: { cached_tokens: 6 },
      };
      await call.raw(`data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`);
      await call.raw(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
      call.response.end();
    };
    expect(await both(body)).toEqual({
      content: [{ type: 'text', text: 'Hello мир 🌍' }],
      stop_reason: 'end_turn',
      usage: { in: 4, out: 4, cached: 6 },
    });
  });

  it('text and tools mixed, calls in parallel whose arguments come mixed, one without arguments', async () => {
    wires.answer = async (call) => {
      await call.text('I look. ');
      await call.delta(toolDelta(0, '', 'call_a', 'look'));
      await call.delta(toolDelta(1, '', 'call_b', 'list'));
      await call.delta(toolDelta(0, '{"at":'));
      await call.delta(toolDelta(1, '{"of":"y"}'));
      await call.delta(toolDelta(0, '"x"}'));
      await call.delta(toolDelta(2, '', 'call_c', 'stop'));
      await call.finish('tool_calls');
    };
    expect(await both(body)).toMatchObject({
      content: [
        { type: 'text', text: 'I look. ' },
        { type: 'tool_use', id: 'call_a', name: 'look', input: { at: 'x' } },
        { type: 'tool_use', id: 'call_b', name: 'list', input: { of: 'y' } },
        { type: 'tool_use', id: 'call_c', name: 'stop', input: {} },
      ],
      stop_reason: 'tool_use',
    });
  });

  it('text between and after calls, calls that all have the index 0, and a stop that says "stop"', async () => {
    wires.answer = async (call) => {
      await call.delta(toolDelta(0, '{"n":1}', 'call_a', 'one'));
      await call.text('between');
      await call.delta(toolDelta(0, '{"n":', 'call_b', 'two'));
      await call.text('after');
      await call.delta(toolDelta(0, '2}'));
      await call.finish('stop');
    };
    const { content, stop_reason: reason } = await both(body);
    expect(reason).toBe('tool_use');
    expect(content).toMatchObject([
      { type: 'tool_use', id: 'call_a', input: { n: 1 } },
      { type: 'text', text: 'between' },
      { type: 'tool_use', id: 'call_b', input: { n: 2 } },
      { type: 'text', text: 'after' },
    ]);
  });

  it('reasoning becomes thinking, a refusal a refusal', async () => {
    wires.answer = async (call) => {
      await call.delta({ reasoning_content: 'Let me ' });
      await call.delta({ reasoning_content: 'think.' });
      await call.text('Yes.');
      await call.finish('length');
    };
    expect(await both(body)).toMatchObject({
      content: [
        { type: 'thinking', thinking: 'Let me think.', signature: '' },
        { type: 'text', text: 'Yes.' },
      ],
      stop_reason: 'max_tokens',
    });
    wires.answer = async (call) => {
      await call.delta({ refusal: 'I will not.' });
      await call.finish('stop');
    };
    expect(await both(body)).toMatchObject({
      content: [{ type: 'text', text: 'I will not.' }],
      stop_reason: 'refusal',
    });
  });

  it('asks as OpenAI is asked', async () => {
    wires.answer = (call) => call.finish();
    await wires.anthropic.messages.create({
      ...body,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      stop_sequences: ['END'],
      metadata: { user_id: 'u' },
      tools: [
        {
          name: 'look',
          description: 'Looks',
          input_schema: { type: 'object', properties: { at: { type: 'string' } } },
        },
      ],
      tool_choice: { type: 'tool', name: 'look', disable_parallel_tool_use: true },
      thinking: { type: 'enabled', budget_tokens: 2000 },
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 'sig' },
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 'a', name: 'look', input: { at: 'x' } },
            { type: 'tool_use', id: 'b', name: 'look', input: {} },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'a', content: 'one' },
            {
              type: 'tool_result',
              tool_use_id: 'b',
              is_error: true,
              content: [
                { type: 'text', text: 'two' },
                { type: 'image', source: { type: 'url', url: 'https://example.com/i.png' } },
              ],
            },
            { type: 'text', text: 'And?' },
          ],
        },
      ],
    });
    expect(last().path).toBe('/v1/chat/completions');
    expect(last().body).toEqual({
      model: 'gpt-x',
      stream: true,
      stream_options: { include_usage: true },
      max_completion_tokens: 100,
      stop: ['END'],
      user: 'u',
      reasoning_effort: 'low',
      parallel_tool_calls: false,
      tool_choice: { type: 'function', function: { name: 'look' } },
      tools: [
        {
          type: 'function',
          function: {
            name: 'look',
            description: 'Looks',
            parameters: { type: 'object', properties: { at: { type: 'string' } } },
          },
        },
      ],
      messages: [
        { role: 'system', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
          ],
        },
        {
          role: 'assistant',
          content: 'I look.',
          tool_calls: [
            { id: 'a', type: 'function', function: { name: 'look', arguments: '{"at":"x"}' } },
            { id: 'b', type: 'function', function: { name: 'look', arguments: '{}' } },
          ],
        },
        { role: 'tool', tool_call_id: 'a', content: 'one' },
        { role: 'tool', tool_call_id: 'b', content: 'Error: two' },
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: 'https://example.com/i.png' } },
            { type: 'text', text: 'And?' },
          ],
        },
      ],
    });
  });

  it("what only Anthropic has is refused by name, in Anthropic's shape", async () => {
    await expect(
      wires.anthropic.messages.create({ ...body, tools: [{ type: 'web_search_20250305', name: 'web_search' }] }),
    ).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('web_search'),
      error: { type: 'error', error: { type: 'invalid_request_error' } },
    });
    await expect(wires.anthropic.messages.create({ ...body, max_tokens: 0 })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('max_tokens'),
    });
  });

  it('a break in the middle is an error of the stream', async () => {
    wires.answer = async (call) => {
      await call.text('half');
      call.response.destroy();
    };
    await expect(wires.anthropic.messages.stream(body).finalMessage()).rejects.toMatchObject({
      error: { type: 'error', error: { type: 'api_error', message: expect.stringContaining('broke') } },
    });
    await expect(wires.anthropic.messages.create(body)).rejects.toMatchObject({ status: 502 });
  });

  it('a model that needs no provider answers too', async () => {
    const message = await wires.anthropic.messages
      .stream({
        ...body,
        model: 'builtin/agent',
        tools: [{ name: 'read_file', input_schema: { type: 'object' } }],
        messages: [{ role: 'user', content: 'read a.txt' }],
      })
      .finalMessage();
    expect(message.content).toMatchObject([
      { type: 'text' },
      { type: 'tool_use', name: 'read_file', input: { path: 'a.txt' } },
    ]);
  });
});

describe("OpenAI's client, Anthropic's wire behind it", () => {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'hi' }];
  const start = {
    message: {
      model: 'claude-1',
      usage: { input_tokens: 10, cache_read_input_tokens: 3, cache_creation_input_tokens: 2, output_tokens: 1 },
    },
  };
  beforeEach(() => {
    wires.answer = async (call) => {
      await call.event('message_start', start);
      await call.event('content_block_start', {
        index: 0,
        content_block: { type: 'thinking', thinking: '', signature: '' },
      });
      await call.event('content_block_delta', { index: 0, delta: { type: 'thinking_delta', thinking: 'Let me ' } });
      await call.event('content_block_delta', { index: 0, delta: { type: 'thinking_delta', thinking: 'think.' } });
      await call.event('content_block_delta', { index: 0, delta: { type: 'signature_delta', signature: 'c2ln' } });
      await call.event('content_block_stop', { index: 0 });
      await call.event('content_block_start', {
        index: 1,
        content_block: { type: 'redacted_thinking', data: 'ZGF0YQ' },
      });
      await call.event('content_block_stop', { index: 1 });
      await call.event('content_block_start', { index: 2, content_block: { type: 'text', text: '' } });
      await call.event('content_block_delta', { index: 2, delta: { type: 'text_delta', text: 'I look.' } });
      await call.event('content_block_stop', { index: 2 });
      await call.event('content_block_start', {
        index: 3,
        content_block: { type: 'tool_use', id: 'toolu_a', name: 'look', input: {} },
      });
      await call.event('content_block_delta', {
        index: 3,
        delta: { type: 'input_json_delta', partial_json: '{"at":"x"}' },
      });
      await call.event('content_block_stop', { index: 3 });
      await call.event('message_delta', {
        delta: { stop_reason: 'tool_use' },
        usage: { output_tokens: 20, output_tokens_details: { thinking_tokens: 9 } },
      });
      await call.event('message_stop');
      call.response.end();
    };
  });
  type Thoughtful = OpenAI.ChatCompletionMessage & { reasoning_content?: string; thinking_blocks?: object[] };
  const blocks = [
    { type: 'thinking', thinking: 'Let me think.', signature: 'c2ln' },
    { type: 'redacted_thinking', data: 'ZGF0YQ' },
  ];

  it('thinking keeps its signatures over turns, whole and streamed', async () => {
    const { choices, usage } = await wires.openai.chat.completions.create({ model: 'anthropic/claude-x', messages });
    const message = choices[0]?.message as Thoughtful;
    expect(message).toMatchObject({ content: 'I look.', reasoning_content: 'Let me think.', thinking_blocks: blocks });
    expect(usage).toEqual({
      prompt_tokens: 15,
      completion_tokens: 20,
      total_tokens: 35,
      prompt_tokens_details: { cached_tokens: 3, cache_write_tokens: 2 },
      completion_tokens_details: { reasoning_tokens: 9 },
    });
    const streamed: object[] = [];
    for await (const chunk of await wires.openai.chat.completions.create({
      model: 'anthropic/claude-x',
      messages,
      stream: true,
    })) {
      const delta = chunk.choices[0]?.delta as { thinking_blocks?: object[] } | undefined;
      streamed.push(...(delta?.thinking_blocks ?? []));
    }
    expect(streamed).toEqual(blocks);
    await wires.openai.chat.completions.create({
      model: 'anthropic/claude-x',
      messages: [...messages, message, { role: 'tool', tool_call_id: 'toolu_a', content: 'seen' }],
      reasoning_effort: 'medium',
    });
    expect(last().path).toBe('/v1/messages');
    expect(last().body.thinking).toEqual({ type: 'enabled', budget_tokens: 8192 });
    expect(last().body.max_tokens).toBeGreaterThan(8192);
    expect(last().body.messages[1]).toEqual({
      role: 'assistant',
      content: [
        ...blocks,
        { type: 'text', text: 'I look.' },
        { type: 'tool_use', id: 'toolu_a', name: 'look', input: { at: 'x' } },
      ],
    });
  });

  it('JSON schemas, JSON mode, stops and files have their counterparts', async () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'number' } },
      required: ['a'],
      additionalProperties: false,
    };
    await wires.openai.chat.completions.create({
      model: 'anthropic/claude-x',
      messages: [
        { role: 'user', content: [{ type: 'file', file: { file_data: 'data:application/pdf;base64,AAAA' } }] },
      ],
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
      stop: 'END',
      max_completion_tokens: 50,
    });
    expect(last().body).toMatchObject({
      max_tokens: 50,
      stop_sequences: ['END'],
      output_config: { format: { type: 'json_schema', schema } },
      messages: [
        {
          role: 'user',
          content: [{ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' } }],
        },
      ],
    });
    await wires.openai.chat.completions.create({
      model: 'anthropic/claude-x',
      messages,
      response_format: { type: 'json_object' },
    });
    expect(last().body.system).toContain('JSON');
  });

  it.each([514, 3_000, 100_000])(
    'arguments of a call that are nested %i deep are refused before anybody is asked',
    async (depth) => {
      const call = { id: 'a', type: 'function' as const, function: { name: 'look', arguments: nested(depth) } };
      const conversation: OpenAI.ChatCompletionMessageParam[] = [
        ...messages,
        { role: 'assistant', tool_calls: [call] },
        { role: 'tool', tool_call_id: 'a', content: 'seen' },
      ];
      const asked = wires.provider.calls.length;
      await expect(
        wires.openai.chat.completions.create({ model: 'anthropic/claude-x', messages: conversation }),
      ).rejects.toMatchObject({ status: 400, message: expect.stringContaining('nested more than 512 levels') });
      expect(wires.provider.calls).toHaveLength(asked);
    },
  );
});

it.each([3_000, 100_000])('a model that nests the arguments of a call %i deep fails by itself alone', async (depth) => {
  wires.answer = async (call) => {
    await call.delta(toolDelta(0, nested(depth), 'a', 'look'));
    await call.finish('tool_calls');
  };
  const asked = { model: 'openai/gpt-x', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hi' }] };
  await expect(wires.anthropic.messages.create(asked)).rejects.toMatchObject({ status: 502 });
});

describe.each([
  ['chat completions, passed through', 'openai/gpt-x', 'openai'],
  ['chat completions, translated', 'anthropic/claude-x', 'openai'],
  ['messages, passed through', 'anthropic/claude-x', 'anthropic'],
  ['messages, translated', 'openai/gpt-x', 'anthropic'],
] as const)('%s', (_, model, client) => {
  const ask = (stream: boolean, signal: AbortSignal) =>
    fetch(`${wires.stack.llmProxy.url}/v1/${client === 'openai' ? 'chat/completions' : 'messages'}`, {
      method: 'POST',
      headers: { 'x-api-key': keys.llmProxy },
      body: JSON.stringify({ model, max_tokens: 10, stream, messages: [{ role: 'user', content: 'hi' }] }),
      signal,
    });

  it.each([true, false])('a client that leaves aborts the request upstream (stream: %s)', async (stream) => {
    const asked = new Promise<ProviderCall>((resolve) => {
      wires.answer = async (call) => {
        if (stream && model.startsWith('openai')) await call.text('x');
        if (stream && model.startsWith('anthropic'))
          await call.event('message_start', { message: { model: 'c', usage: {} } });
        resolve(call);
      };
    });
    const leave = new AbortController();
    const response = ask(stream, leave.signal);
    response.catch(() => {});
    const call = await asked;
    if (stream) await response;
    leave.abort();
    await call.aborted;
  });

  it.each([
    [
      'HTML',
      (call: ProviderCall) => call.response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Sign in</html>'),
    ],
    ['a redirect', (call: ProviderCall) => call.response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end()],
    ['a reset', (call: ProviderCall) => call.response.destroy()],
    [
      'half a JSON object, then a reset',
      async (call: ProviderCall) => {
        call.response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        await call.raw('{"choices":[{"ind');
        call.response.destroy();
      },
    ],
    [
      'half an event, then a reset',
      async (call: ProviderCall) => {
        await call.raw('data: {"choices":[{"index":0,"delta":{"content":"x');
        call.response.destroy();
      },
    ],
    [
      'an error with the status 200',
      (call: ProviderCall) => call.json({ error: { message: 'no', type: 'server_error' } }),
    ],
    ['nothing but an end', (call: ProviderCall) => call.raw('').then(() => call.response.end())],
    [
      'an event that is not JSON',
      async (call: ProviderCall) => {
        await call.raw('event: x\ndata: {oops\n\n');
        call.response.end();
      },
    ],
  ])('%s in place of an answer is a bad gateway, streamed or not', async (_name, act) => {
    wires.answer = async (call) => {
      await act(call);
    };
    for (const stream of [true, false]) {
      const response = await ask(stream, AbortSignal.timeout(5000));
      const body = await response.text();
      expect(response.status, body).toBe(502);
      expect(body).toMatch(/OpenAI|Anthropic/);
      expect(() => JSON.parse(body)).not.toThrow();
      expect(response.headers.get('x-codelab-error')).toMatch(/^PROVIDER_(UNAVAILABLE|STREAM_LOST)$/);
    }
  });

  it('an event of 5 MB arrives, one of 20 MB is lost', async () => {
    const send = (size: number) => async (call: ProviderCall) => {
      const text = 'x'.repeat(size);
      if (model.startsWith('openai')) {
        await call.text(text);
        await call.finish();
        return;
      }
      await call.event('message_start', { message: { model: 'c', usage: {} } });
      await call.event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
      await call.event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } });
      await call.event('content_block_stop', { index: 0 });
      await call.event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: {} });
      await call.event('message_stop');
      call.response.end();
    };
    wires.answer = send(5_000_000);
    const whole = await (await ask(true, AbortSignal.timeout(10_000))).text();
    expect(whole.length).toBeGreaterThan(5_000_000);
    expect(whole).toMatch(/\[DONE\]\n\n$|message_stop"\}\n\n$/);
    wires.answer = send(20_000_000);
    const cut = await (await ask(true, AbortSignal.timeout(10_000))).text();
    expect(cut).toContain('16 MiB');
    expect(cut).not.toMatch(/\[DONE\]|message_stop/);
  });
});
