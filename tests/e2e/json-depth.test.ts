import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let provider: FakeProvider;
let stack: Stack;
beforeAll(async () => {
  provider = await startFakeProvider((call) =>
    call.json({
      choices: [{ finish_reason: 'stop' }],
      type: 'message',
      content: [],
      stop_reason: 'end_turn',
      data: [],
    }),
  );
  stack = await startStack({
    providerUrl: provider.url,
    variables: {
      LLM_PROXY__ANTHROPIC_BASE_URL: provider.url.replace('/v1', ''),
      LLM_PROXY__ANTHROPIC_API_KEY: 'k',
    },
  });
});
afterAll(async () => {
  await stack.close();
  await provider.close();
});

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const messages = '[{"role":"user","content":"hi"}]';
const doors: Array<[door: string, service: 'gateway' | 'runtime' | 'llmProxy', path: string, fields: string]> = [
  ['a message', 'gateway', '/api/v1/message', '"session_id":"s","message":"hi"'],
  ['a procedure by REST', 'gateway', '/api/v1/sessions', '"sessionId":"s"'],
  ['the older stream', 'runtime', '/agent/message/stream', '"session_id":"s","role":"user","content":"hi"'],
  ['MCP', 'runtime', '/mcp', '"jsonrpc":"2.0","id":1,"method":"ping"'],
  ["OpenAI's wire", 'llmProxy', '/v1/chat/completions', `"model":"openai/m","messages":${messages}`],
  ["OpenAI's wire, translated", 'llmProxy', '/v1/chat/completions', `"model":"anthropic/m","messages":${messages}`],
  ['embeddings', 'llmProxy', '/v1/embeddings', '"model":"openai/m","input":"hi"'],
  ["Anthropic's wire", 'llmProxy', '/v1/messages', `"model":"anthropic/m","max_tokens":9,"messages":${messages}`],
  [
    "Anthropic's wire, translated",
    'llmProxy',
    '/v1/messages',
    `"model":"openai/m","max_tokens":9,"messages":${messages}`,
  ],
  ['token counts', 'llmProxy', '/v1/messages/count_tokens', `"model":"anthropic/m","messages":${messages}`],
  ['token counts, guessed', 'llmProxy', '/v1/messages/count_tokens', `"model":"openai/m","messages":${messages}`],
];

describe.each(doors)('%s', (_, service, path, fields) => {
  const ask = (depth: number) =>
    fetch(stack[service].url + path, {
      method: 'POST',
      headers: { 'x-internal-auth': keys[service], 'content-type': 'application/json' },
      body: `{${fields},"z":${nested(depth)}}`,
    });

  it.each([513, 3_000, 100_000, 2_000_000])('JSON of %i levels is refused, with what to do', async (depth) => {
    const asked = provider.calls.length;
    const response = await ask(depth);
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/nested more than 512 levels deep/);
    expect(provider.calls).toHaveLength(asked);
  });

  it('JSON of 500 levels is not too deep', async () => {
    expect(await (await ask(500)).text()).not.toMatch(/nested/);
  });
});
