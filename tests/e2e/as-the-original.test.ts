import { readFileSync } from 'node:fs';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ProviderCall } from '../support/fake-provider.ts';
import { keys } from '../support/stack.ts';
import { useWires } from '../support/wires.ts';

// The official clients, once straight to the provider and once through llm-proxy: they must not see a difference.

const wires = useWires();
const openais = () => ({
  direct: new OpenAI({ maxRetries: 0, baseURL: wires.provider.url, apiKey: 'k' }),
  through: wires.openai,
});
const anthropics = () => ({
  direct: new Anthropic({ maxRetries: 0, baseURL: wires.provider.url.replace('/v1', ''), apiKey: 'k' }),
  through: wires.anthropic,
});
const messages = [{ role: 'user' as const, content: 'hi' }];

const folder = new URL('../fixtures/provider-streams/', import.meta.url);
const payloads = (file: string) =>
  readFileSync(new URL(`${file}.chunks.txt`, folder), 'utf8')
    .trim()
    .split('\n');
const recorded = (kind: 'openai' | 'anthropic', file: string) => {
  const events = payloads(file).map(
    (line) => `${kind === 'anthropic' ? `event: ${JSON.parse(line).type}\n` : ''}data: ${line}\n\n`,
  );
  return Buffer.from(events.join('') + (kind === 'openai' ? 'data: [DONE]\n\n' : ''));
};
const replay = (bytes: Buffer, size: number) => async (call: ProviderCall) => {
  call.response.socket?.setNoDelay(true);
  for (let at = 0; at < bytes.length; at += size) await call.raw(bytes.subarray(at, at + size));
  call.response.end();
};
async function all<T>(stream: Promise<AsyncIterable<T>>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of await stream) items.push(item);
  return items;
}

describe.each(['openai-text', 'mistral-tool-call', 'deepseek-tool-call', 'deepseek-reasoning'])(
  'OpenAI: the recording %s',
  (file) => {
    const bytes = recorded('openai', file);
    it.each([bytes.length, 700, 7])('in packets of %i bytes', async (size) => {
      wires.answer = replay(bytes, size);
      const { direct, through } = openais();
      const ask = (client: OpenAI) =>
        all(
          client.chat.completions.create({
            model: 'gpt-x',
            messages,
            stream: true,
            stream_options: { include_usage: true },
          }),
        );
      expect(await ask(through)).toEqual(await ask(direct));
    });

    it('without its usage, where nobody asked for it', async () => {
      const chunks = payloads(file).map((line) => JSON.parse(line));
      const counts = { model: 'm', choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } };
      wires.answer = replay(
        Buffer.concat([
          bytes.subarray(0, bytes.lastIndexOf('data: [DONE]')),
          Buffer.from(`data: ${JSON.stringify(counts)}\n\ndata: [DONE]\n\n`),
        ]),
        300,
      );
      const seen = await all(openais().through.chat.completions.create({ model: 'gpt-x', messages, stream: true }));
      expect(seen).toEqual(chunks.filter(({ choices }) => choices.length > 0));
    });
  },
);

describe.each(['anthropic-text', 'anthropic-tool-no-args', 'anthropic-json-tool.1'])(
  'Anthropic: the recording %s',
  (file) => {
    const bytes = recorded('anthropic', file);
    it.each([bytes.length, 100, 1])('in packets of %i bytes', async (size) => {
      wires.answer = replay(bytes, size);
      const { direct, through } = anthropics();
      const ask = (client: Anthropic) =>
        client.messages.stream({ model: 'claude-x', messages, max_tokens: 10 }).finalMessage();
      const events = (client: Anthropic) =>
        all(client.messages.create({ model: 'claude-x', messages, max_tokens: 10, stream: true }));
      expect(await events(through)).toEqual(await events(direct));
      expect(await ask(through)).toEqual(await ask(direct));
    });
  },
);

it.each(['openai-text', 'anthropic-text', 'anthropic-tool-no-args'])('the whole answer %s.json', async (file) => {
  const body = JSON.parse(readFileSync(new URL(`${file}.json`, folder), 'utf8'));
  wires.answer = (call) => call.json(body);
  if (file.startsWith('openai')) {
    // The recording is of OpenAI's other wire: it stands here for any object.
    wires.answer = (call) => call.json({ ...body, error: null, choices: [{ index: 0, finish_reason: 'stop' }] });
    const ask = (client: OpenAI) => client.chat.completions.create({ model: 'gpt-x', messages });
    expect(await ask(openais().through)).toEqual(await ask(openais().direct));
  } else {
    const ask = (client: Anthropic) => client.messages.create({ model: 'claude-x', messages, max_tokens: 10 });
    expect(await ask(anthropics().through)).toEqual(await ask(anthropics().direct));
  }
});

it('the request arrives byte for byte, but for the name of the model', async () => {
  let bytes = '';
  wires.answer = (call) => {
    bytes = call.bytes;
    call.json({ choices: [{ index: 0, finish_reason: 'stop' }] });
  };
  const body = (model: string) =>
    `{ "temperature":1.0, "x":"\\u00e9\\n", "model" : "${model}","messages":[{"role":"user","content":"{\\"model\\":\\"y\\"}"}], "big":12345678901234567890, "z":[ ] }`;
  await fetch(`${wires.stack.llmProxy.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keys.llmProxy}` },
    body: body('openai/gpt-x'),
  });
  expect(bytes).toBe(body('gpt-x'));
});

describe("a provider's refusal", () => {
  const fault = {
    message: 'max_tokens is too large',
    type: 'invalid_request_error',
    param: 'max_tokens',
    code: 'invalid_value',
  };
  it.each([400, 404, 413, 422, 429, 500, 503, 529])('%i is the same error for both clients', async (status) => {
    for (const stream of [false, true]) {
      wires.answer = (call) => call.json({ error: fault }, status);
      const failed = (client: OpenAI) =>
        client.chat.completions.create({ model: 'gpt-x', messages, stream }).then(
          () => undefined,
          (error) => error,
        );
      const [direct, through] = [await failed(openais().direct), await failed(openais().through)];
      expect(through.message).toContain('max_tokens is too large');
      expect(through.constructor).toBe(direct.constructor);
      if (status < 500 && status !== 429 && status !== 413)
        expect(through).toMatchObject({ type: fault.type, param: fault.param, code: fault.code });

      wires.answer = (call) =>
        call.json({ type: 'error', error: { type: 'invalid_request_error', message: 'too large' } }, status);
      const failedToo = (client: Anthropic) =>
        client.messages.create({ model: 'claude-x', messages, max_tokens: 10, stream }).then(
          () => undefined,
          (error) => error,
        );
      const [first, second] = [await failedToo(anthropics().direct), await failedToo(anthropics().through)];
      expect(second.message).toContain('too large');
      expect(second.constructor).toBe(first.constructor);
      expect(second.error.type).toBe('error');
    }
  });
});

it('models are listed and found by both clients', async () => {
  const fromOpenAi = (await openais().through.models.list()).data.map(({ id }) => id);
  expect(fromOpenAi).toEqual(expect.arrayContaining(['openai/fake-1', 'anthropic/fake-1', 'builtin/echo']));
  const fromAnthropic: string[] = [];
  for await (const model of anthropics().through.models.list()) fromAnthropic.push(model.id);
  expect(fromAnthropic).toEqual(fromOpenAi);
  expect((await openais().through.models.retrieve('openai/fake-1')).id).toBe('openai/fake-1');
  expect((await anthropics().through.models.retrieve('builtin/echo')).display_name).toBe('echo');
  await expect(openais().through.models.retrieve('no/such')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
});

it('embeddings', async () => {
  const said = {
    object: 'list',
    model: 'e',
    data: [{ object: 'embedding', index: 0, embedding: [0.25, -1] }],
    usage: { prompt_tokens: 4, total_tokens: 4 },
  };
  let body: unknown;
  wires.answer = (call) => {
    body = call.body;
    expect(call.path).toBe('/v1/embeddings');
    call.json(said);
  };
  const asked = { model: 'openai/e', input: ['a', 'b'], encoding_format: 'float' as const, dimensions: 2 };
  expect(await openais().through.embeddings.create(asked)).toEqual(said);
  expect(body).toEqual({ ...asked, model: 'e' });
  await expect(openais().through.embeddings.create({ ...asked, model: 'anthropic/claude-x' })).rejects.toBeInstanceOf(
    OpenAI.BadRequestError,
  );
});

it("Anthropic's headers and token counts pass", async () => {
  let headers: ProviderCall['headers'] = {};
  wires.answer = (call) => {
    headers = call.headers;
    call.json(
      call.path.endsWith('/count_tokens')
        ? { input_tokens: 42 }
        : { type: 'message', content: [], stop_reason: 'end_turn' },
    );
  };
  const { through } = anthropics();
  await through.messages.create(
    { model: 'claude-x', messages, max_tokens: 10 },
    { headers: { 'anthropic-beta': 'some-beta' } },
  );
  expect(headers).toMatchObject({
    'x-api-key': 'k',
    'anthropic-version': expect.stringMatching(/^20\d\d-\d\d-\d\d$/),
    'anthropic-beta': 'some-beta',
  });
  expect((await through.messages.countTokens({ model: 'claude-x', messages })).input_tokens).toBe(42);
  expect((await through.messages.countTokens({ model: 'builtin/echo', messages })).input_tokens).toBeGreaterThan(0);
});
