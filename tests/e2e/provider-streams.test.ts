import { readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Deliver } from '../../packages/llm-proxy/src/completion/attempt.ts';
import { pushToPull } from '../../packages/llm-proxy/src/completion/push-to-pull.ts';
import { openTranslated } from '../../packages/llm-proxy/src/completion/translated-attempt.ts';
import { Config } from '../../packages/llm-proxy/src/config/config.ts';
import { loadEnv } from '../../packages/llm-proxy/src/env.ts';
import { createHttpClient } from '../../packages/llm-proxy/src/http-client/http-client.ts';
import type { CancelSignal } from '../../packages/llm-proxy/src/lib/cancel-token.ts';
import { createProviders } from '../../packages/llm-proxy/src/providers/create-providers.ts';
import type { Provider, ProviderChunk } from '../../packages/llm-proxy/src/providers/provider.ts';
import type { CompletionRequest } from '../../packages/protocol/src/index.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

const folder = new URL('../fixtures/provider-streams/', import.meta.url);
const payloads = (file: string) =>
  readFileSync(new URL(`${file}.chunks.txt`, folder), 'utf8')
    .trim()
    .split('\n');

type Kind = 'openai' | 'anthropic';
/** The bytes that the provider sent, as its SSE had them. */
function toBytes(kind: Kind, lines: string[]): Buffer {
  const events = lines.map(
    (line) => `${kind === 'anthropic' ? `event: ${JSON.parse(line).type}\n` : ''}data: ${line}\n\n`,
  );
  return Buffer.from(events.join('') + (kind === 'openai' ? 'data: [DONE]\n\n' : ''));
}

let server: Server;
let url: string;
let body: unknown;
/** How the provider answers the next requests. */
let answer: (response: ServerResponse) => void | Promise<void>;
beforeAll(async () => {
  server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    body = JSON.parse(Buffer.concat(parts).toString() || 'null');
    response.on('error', () => {});
    response.socket?.setNoDelay(true);
    await answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const send = (response: ServerResponse, bytes: Uint8Array | string) =>
  new Promise<void>((resolve) => response.write(bytes, () => resolve()));
const openStream = (response: ServerResponse) =>
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
/** Sends the bytes in packets that end at `cuts`. */
const replay = (bytes: Buffer, cuts: number[]) => async (response: ServerResponse) => {
  openStream(response);
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    await send(response, bytes.subarray(from, cut));
    from = cut;
  }
  response.end();
};

const upstream = createHttpClient({ connectTimeoutMs: 5_000 });
afterAll(() => upstream.close());
async function* chunksOf(kind: Kind, request: CompletionRequest) {
  const variables = {
    LLM_PROXY__INTERNAL_API_KEY: 'k',
    LLM_PROXY__OPENAI_BASE_URL: `${url}/v1`,
    LLM_PROXY__ANTHROPIC_BASE_URL: url,
    LLM_PROXY__ANTHROPIC_API_KEY: 'k',
  };
  const { configured } = createProviders(loadEnv(variables), Config.parse({}), upstream);
  const provider = configured.find(({ id }) => id === kind) as Provider;
  const attempt = openTranslated(
    { provider, model: request.model },
    request,
    (chunks) => chunks,
    () => undefined,
  );
  const run = (deliver: Deliver<ProviderChunk[]>, cancel: CancelSignal) =>
    attempt.run({ cancel, onActivity: () => {}, deliver });
  for await (const chunks of pushToPull(run, undefined)) yield* chunks;
}
const hello: CompletionRequest = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

/** What a stream comes to. */
async function collect(kind: Kind, request = hello) {
  const result = {
    text: '',
    reasoning: '',
    calls: [] as Array<{ id: string; name: string; arguments: string }>,
    usage: {},
    end: '',
    starts: 0,
  };
  for await (const chunk of chunksOf(kind, request)) {
    if (chunk.type === 'start') result.starts++;
    if (chunk.type === 'text') result.text += chunk.text;
    if (chunk.type === 'reasoning') result.reasoning += chunk.text;
    if (chunk.type === 'usage') result.usage = chunk.usage;
    if (chunk.type === 'finish') result.end += chunk.finishReason;
    if (chunk.type !== 'tool_call') continue;
    result.calls[chunk.index] ??= { id: '', name: '', arguments: '' };
    const call = result.calls[chunk.index] as (typeof result.calls)[number];
    call.id += chunk.callId ?? '';
    call.name += chunk.name ?? '';
    call.arguments += chunk.arguments;
  }
  return result;
}

/** What OpenAI's chunks say, read off the recording alone. */
function said(file: string, field: 'content' | 'reasoning_content'): string {
  return payloads(file)
    .map((line) => JSON.parse(line).choices[0]?.delta?.[field] ?? '')
    .join('');
}
const usage = (
  inputTokens: number,
  outputTokens: number,
  cachedTokens = 0,
  reasoningTokens = 0,
  cacheWriteTokens = 0,
) => ({
  inputTokens,
  outputTokens,
  cachedTokens,
  cacheWriteTokens,
  reasoningTokens,
});

const recordings: Array<{ file: string; kind: Kind; expected: object }> = [
  {
    file: 'anthropic-text',
    kind: 'anthropic',
    expected: {
      text: "Hello! I'm doing well, thank you for asking. How are you doing today? Is there anything I can help you with?",
      calls: [],
      usage: usage(12, 30),
      end: 'stop',
      starts: 1,
    },
  },
  {
    file: 'anthropic-tool-no-args',
    kind: 'anthropic',
    expected: {
      text: "I'll update the issue list for you.",
      calls: [{ id: 'toolu_01QE1WLsSVp5hy5Q3GmGTmjP', name: 'updateIssueList', arguments: '{}' }],
      usage: usage(565, 48),
      end: 'tool_calls',
      starts: 1,
    },
  },
  {
    file: 'anthropic-json-tool.1',
    kind: 'anthropic',
    expected: {
      text: '',
      calls: [
        {
          id: 'toolu_01KFbKqPYSuAKujiL6mTfzYA',
          name: 'json',
          arguments: '{"elements": [{"location": "San Francisco", "temperature": 58, "condition": "sunny"}]}',
        },
      ],
      usage: usage(849, 47),
      end: 'tool_calls',
    },
  },
  {
    file: 'mistral-tool-call',
    kind: 'openai',
    expected: {
      text: '',
      calls: [{ id: 'gSIMJiOkT', name: 'weather', arguments: '{"location": "San Francisco"}' }],
      usage: usage(124, 22),
      end: 'tool_calls',
    },
  },
  {
    file: 'deepseek-tool-call',
    kind: 'openai',
    expected: {
      reasoning: said('deepseek-tool-call', 'reasoning_content'),
      text: '',
      usage: usage(339, 83, 320, 39),
      end: 'tool_calls',
    },
  },
  {
    file: 'deepseek-reasoning',
    kind: 'openai',
    expected: {
      reasoning: said('deepseek-reasoning', 'reasoning_content'),
      text: said('deepseek-reasoning', 'content'),
      end: 'stop',
    },
  },
  { file: 'openai-text', kind: 'openai', expected: { text: said('openai-text', 'content'), end: 'stop', starts: 1 } },
];

describe.each(recordings)('the recording $file', ({ file, kind, expected }) => {
  const bytes = toBytes(kind, payloads(file));

  it('is understood', async () => {
    answer = replay(bytes, []);
    const result = await collect(kind);
    expect(result).toMatchObject(expected);
    for (const call of result.calls) expect(() => JSON.parse(call.arguments)).not.toThrow();
  });

  it('means the same when every byte is a packet', async () => {
    answer = replay(bytes, []);
    const whole = await collect(kind);
    answer = replay(bytes, Array.from(bytes.keys()).slice(1));
    expect(await collect(kind)).toEqual(whole);
  }, 60_000);

  it.runIf(bytes.length < 2500)(
    'means the same cut in two anywhere',
    async () => {
      answer = replay(bytes, []);
      const whole = await collect(kind);
      for (let cut = 1; cut < bytes.length; cut += 1) {
        answer = replay(bytes, [cut]);
        expect(await collect(kind)).toEqual(whole);
      }
    },
    60_000,
  );

  it('cut short, is lost and never a clean finish', async () => {
    const lines = payloads(file);
    for (const kept of [1, Math.floor(lines.length / 2)]) {
      for (const how of ['end', 'destroy'] as const) {
        answer = async (response) => {
          openStream(response);
          await send(response, toBytes('anthropic' === kind ? kind : 'openai', lines.slice(0, kept)).subarray(0, -20));
          response[how]();
        };
        await expect(collect(kind)).rejects.toMatchObject({
          code: expect.stringMatching(/^PROVIDER_(STREAM_LOST|UNAVAILABLE)$/),
        });
      }
    }
  });
});

describe('oddities', () => {
  const anthropic = (...lines: object[]) =>
    replay(
      toBytes(
        'anthropic',
        lines.map((line) => JSON.stringify(line)),
      ),
      [],
    );
  const openai = (...lines: object[]) =>
    replay(
      toBytes(
        'openai',
        lines.map((line) => JSON.stringify(line)),
      ),
      [],
    );
  const start = {
    type: 'message_start',
    message: {
      model: 'c',
      usage: { input_tokens: 10, cache_read_input_tokens: 3, cache_creation_input_tokens: 2, output_tokens: 1 },
    },
  };
  const text = (index: number, said: string) => ({
    type: 'content_block_delta',
    index,
    delta: { type: 'text_delta', text: said },
  });
  const stop = (reason: string, counts: object = { output_tokens: 7 }) => ({
    type: 'message_delta',
    delta: { stop_reason: reason },
    usage: counts,
  });
  const chunk = (delta: object, finish: string | null = null, rest: object = {}) => ({
    model: 'g',
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...rest,
  });

  it('Anthropic: a second message_start, pings, unknown events and blocks change nothing', async () => {
    answer = anthropic(
      start,
      { type: 'ping' },
      start,
      { type: 'from_the_future', x: 1 },
      { type: 'content_block_start', index: 0, content_block: { type: 'hologram' } },
      text(1, 'Hi'),
      { type: 'content_block_stop', index: 1 },
      stop('end_turn'),
      { type: 'message_stop' },
    );
    expect(await collect('anthropic')).toMatchObject({ text: 'Hi', starts: 1, end: 'stop' });
  });

  it('Anthropic: what was cached is counted once', async () => {
    answer = anthropic(
      start,
      stop('end_turn', {
        input_tokens: 10,
        cache_read_input_tokens: 3,
        cache_creation_input_tokens: 2,
        output_tokens: 7,
      }),
      { type: 'message_stop' },
    );
    expect((await collect('anthropic')).usage).toEqual(usage(15, 7, 3, 0, 2));
    answer = anthropic(start, stop('end_turn'), { type: 'message_stop' });
    expect((await collect('anthropic')).usage).toEqual(usage(15, 7, 3, 0, 2));
  });

  it('Anthropic: calls are numbered among themselves where text stands between them', async () => {
    const call = (index: number, id: string) => ({
      type: 'content_block_start',
      index,
      content_block: { type: 'tool_use', id, name: `tool_${id}`, input: {} },
    });
    const json = (index: number, part: string) => ({
      type: 'content_block_delta',
      index,
      delta: { type: 'input_json_delta', partial_json: part },
    });
    const end = (index: number) => ({ type: 'content_block_stop', index });
    answer = anthropic(
      start,
      text(0, 'First '),
      call(1, 'a'),
      json(1, '{"x":'),
      json(1, '1}'),
      end(1),
      text(2, 'then'),
      call(3, 'b'),
      end(3),
      call(4, 'c'),
      json(4, '{}'),
      end(4),
      stop('tool_use'),
      { type: 'message_stop' },
    );
    expect(await collect('anthropic')).toMatchObject({
      text: 'First then',
      calls: [
        { id: 'a', name: 'tool_a', arguments: '{"x":1}' },
        { id: 'b', name: 'tool_b', arguments: '{}' },
        { id: 'c', name: 'tool_c', arguments: '{}' },
      ],
      end: 'tool_calls',
    });
  });

  it.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['max_tokens', 'length'],
    ['refusal', 'content_filter'],
    ['something_new', 'stop'],
  ])('Anthropic: stop_reason %s is %s', async (reason, finish) => {
    answer = anthropic(start, stop(reason), { type: 'message_stop' });
    expect((await collect('anthropic')).end).toBe(finish);
  });

  it('Anthropic: an error in the middle is a lost stream', async () => {
    answer = anthropic(start, text(0, 'Hi'), {
      type: 'error',
      error: { type: 'overloaded_error', message: 'Overloaded' },
    });
    await expect(collect('anthropic')).rejects.toMatchObject({ code: 'PROVIDER_STREAM_LOST' });
  });

  it('OpenAI: usage that comes early, late and twice, and a chunk after [DONE]', async () => {
    const counts = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
    answer = async (response) => {
      openStream(response);
      await send(
        response,
        toBytes(
          'openai',
          [
            chunk({ content: 'A' }, null, { usage: { ...counts, completion_tokens: 1 } }),
            chunk({ content: 'B' }, 'stop', { usage: counts }),
            { model: 'g', choices: [], usage: counts },
          ].map((line) => JSON.stringify(line)),
        ),
      );
      await send(response, `data: ${JSON.stringify(chunk({ content: 'too late' }))}\n\ndata: [DONE]\n\n`);
      response.end();
    };
    expect(await collect('openai')).toMatchObject({ text: 'AB', usage: usage(3, 4), end: 'stop' });
  });

  it('OpenAI: comments, other fields, CRLF, and chunks without choices change nothing', async () => {
    answer = async (response) => {
      openStream(response);
      await send(response, ': keep-alive\r\n\r\nid: 7\r\nretry: 10\r\n');
      await send(
        response,
        `data: ${JSON.stringify(chunk({ content: 'Привет' }))}\r\n\r\n: \r\n\r\ndata: {"model":"g"}\r\n\r\ndata: ${JSON.stringify(chunk({}, 'stop'))}\r\n\r\ndata: [DONE]\r\n\r\n`,
      );
      response.end();
    };
    expect(await collect('openai')).toMatchObject({ text: 'Привет', end: 'stop' });
  });

  it('OpenAI: a chunk of 5 MB passes', async () => {
    answer = openai(chunk({ content: 'x'.repeat(5_000_000) }), chunk({}, 'stop'));
    expect((await collect('openai')).text).toHaveLength(5_000_000);
  });
});

describe.each(['openai', 'anthropic'] as const)('%s: what is no answer is one error of the catalogue', (kind) => {
  it.each([
    [400, 'VALIDATION'],
    [401, 'PROVIDER_AUTH'],
    [403, 'PROVIDER_AUTH'],
    [404, 'MODEL_NOT_FOUND'],
    [408, 'PROVIDER_UNAVAILABLE'],
    [413, 'PAYLOAD_TOO_LARGE'],
    [429, 'PROVIDER_RATE_LIMIT'],
    [500, 'PROVIDER_UNAVAILABLE'],
    [503, 'PROVIDER_UNAVAILABLE'],
    [529, 'PROVIDER_UNAVAILABLE'],
  ])('%i is %s', async (status, code) => {
    answer = (response) => {
      response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '3' });
      response.end(JSON.stringify({ type: 'error', error: { type: 'some_error', message: 'because' } }));
    };
    await expect(collect(kind)).rejects.toMatchObject({
      code,
      // What is said of our key may have our key in it.
      message: code === 'PROVIDER_AUTH' ? expect.not.stringContaining('because') : expect.stringContaining('because'),
      retryAfterMs: 3000,
    });
  });

  it('a reset before the head', async () => {
    answer = (response) => {
      response.destroy();
    };
    await expect(collect(kind)).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
  });

  it('HTML in place of a stream', async () => {
    answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('<html><body>Sign in, please</body></html>');
    };
    await expect(collect(kind)).rejects.toMatchObject({ code: expect.stringMatching(/^PROVIDER_/) });
  });

  it('half a JSON object, then a reset', async () => {
    answer = async (response) => {
      openStream(response);
      await send(response, 'data: {"choices":[{"del');
      response.destroy();
    };
    await expect(collect(kind)).rejects.toMatchObject({ code: expect.stringMatching(/^PROVIDER_/) });
  });
});

describe('requests to Anthropic', () => {
  beforeEach(() => {
    answer = replay(toBytes('anthropic', payloads('anthropic-text')), []);
  });

  it('carry system, images, calls and several results the way its wire wants them', async () => {
    await collect('anthropic', {
      model: 'claude-sonnet-4-5',
      temperature: 1.5,
      stop: 'END',
      tool_choice: { type: 'function', function: { name: 'look' } },
      parallel_tool_calls: false,
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
        { role: 'user', content: 'Look' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'here:' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
          ],
        },
        {
          role: 'assistant',
          content: 'I look.',
          tool_calls: [
            { id: 'a', type: 'function', function: { name: 'look', arguments: '{"at":"x"}' } },
            { id: 'b', type: 'function', function: { name: 'look', arguments: '' } },
          ],
        },
        { role: 'tool', tool_call_id: 'a', content: 'one' },
        {
          role: 'tool',
          tool_call_id: 'b',
          content: [{ type: 'image_url', image_url: { url: 'https://example.com/i.png' } }],
        },
        { role: 'user', content: 'And?' },
      ],
    });
    expect(body).toEqual({
      model: 'claude-sonnet-4-5',
      stream: true,
      max_tokens: 8192,
      temperature: 1,
      stop_sequences: ['END'],
      system: 'Be brief.',
      tool_choice: { type: 'tool', name: 'look', disable_parallel_tool_use: true },
      tools: [
        {
          name: 'look',
          description: 'Looks',
          input_schema: { type: 'object', properties: { at: { type: 'string' } } },
        },
      ],
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look' },
            { type: 'text', text: 'here:' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 'a', name: 'look', input: { at: 'x' } },
            { type: 'tool_use', id: 'b', name: 'look', input: {} },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: 'one' }] },
            {
              type: 'tool_result',
              tool_use_id: 'b',
              content: [{ type: 'image', source: { type: 'url', url: 'https://example.com/i.png' } }],
            },
            { type: 'text', text: 'And?' },
          ],
        },
      ],
    });
  });

  it.each([
    [
      'a broken image',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }] }] },
    ],
    ['an unknown part', { messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] }],
    [
      'arguments that are no JSON',
      {
        messages: [
          { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'x', arguments: '{' } }] },
        ],
      },
    ],
  ])('%s is refused before anything is sent', async (_, wrong) => {
    body = undefined;
    await expect(collect('anthropic', { model: 'm', ...wrong } as CompletionRequest)).rejects.toMatchObject({
      code: 'VALIDATION',
    });
    expect(body).toBeUndefined();
  });
});

describe('the official openai package, with Anthropic behind llm-proxy', () => {
  let stack: Stack;
  let client: OpenAI;
  beforeAll(async () => {
    stack = await startStack({ variables: { LLM_PROXY__ANTHROPIC_BASE_URL: url, LLM_PROXY__ANTHROPIC_API_KEY: 'k' } });
    client = new OpenAI({ baseURL: `${stack.llmProxy.url}/v1`, apiKey: keys.llmProxy, maxRetries: 0 });
  });
  afterAll(() => stack.close());

  it('streams text and calls', async () => {
    answer = replay(toBytes('anthropic', payloads('anthropic-tool-no-args')), []);
    const stream = client.chat.completions.stream({
      model: 'claude-sonnet-4-5',
      messages: [{ role: 'user', content: 'Update' }],
      stream_options: { include_usage: true },
    });
    const completion = await stream.finalChatCompletion();
    expect(completion.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: "I'll update the issue list for you.",
        tool_calls: [{ type: 'function', function: { name: 'updateIssueList', arguments: '{}' } }],
      },
    });
    expect(completion.usage).toMatchObject({ prompt_tokens: 565, completion_tokens: 48 });
  });

  it('a session uses it as its only provider, by default and by name', async () => {
    answer = replay(toBytes('anthropic', payloads('anthropic-text')), []);
    const session = await stack.client().sessions.create({ model: 'anthropic/claude-sonnet-4-5' });
    expect((await session.send('Hello').finished()).text).toMatch(/^Hello! I'm doing well/);
    expect(body).toMatchObject({ model: 'claude-sonnet-4-5' });
  });
});
