import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeProvider, type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { enterNewMinute } from '../support/minute.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

// What a key has used is counted whatever its owner, or a provider, does.

const TEAM = 'the-key-of-the-team';
let folder: string;
let provider: FakeProvider;
let stack: Stack;
let leaveMinute: () => void;
const start = async (key = '') => {
  folder = mkdtempSync(join(tmpdir(), 'counting-'));
  provider = await startFakeProvider();
  const file = join(folder, 'config.yaml');
  writeFileSync(
    file,
    `providers:
  one: { base_url: ${provider.url}, stream_usage: false }
  two: { kind: anthropic, base_url: ${provider.url.replace('/v1', '')} }
prices: { "*": { input: 1000, output: 1000 } }
models:
  hedged: { routes: [{ model: one/a }], fallbacks: [one/b], hedge_after_ms: 20 }
  back: { routes: [{ model: one/a }], fallbacks: [one/b] }
keys:
  team: { key_env: TEAM_KEY${key} }
`,
  );
  stack = await startStack({ variables: { LLM_PROXY__CONFIG: file, LLM_PROXY__MAX_RETRIES: '1', TEAM_KEY: TEAM } });
};
beforeEach(() => {
  leaveMinute = enterNewMinute();
  return start();
});
afterEach(async () => {
  leaveMinute();
  await stack.close();
  await provider.close();
  rmSync(folder, { recursive: true });
});

interface Used {
  requests_this_minute: number;
  tokens_this_minute: number;
  open_streams: number;
  usd_today: number;
}
const used = async (): Promise<Used> => {
  const response = await fetch(`${stack.llmProxy.url}/v1/usage`, { headers: { 'x-internal-auth': keys.llmProxy } });
  return ((await response.json()) as { data: Array<{ used: Used }> }).data[0]?.used as Used;
};
/** What was used, once nothing is open any more. */
const settled = async (): Promise<Used> => {
  for (;;) {
    const now = await used();
    if (now.open_streams === 0 && now.tokens_this_minute > 0) return now;
    await new Promise((resolve) => setImmediate(resolve));
  }
};

const post = (path: string, body: object | string, signal?: AbortSignal) =>
  fetch(stack.llmProxy.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEAM}` },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
const messages = [{ role: 'user', content: 'hi' }];
const chat = { path: '/v1/chat/completions', body: { messages } };
const claude = { path: '/v1/messages', body: { messages, max_tokens: 9 } };

const long = [{ role: 'user', content: 'word'.repeat(1_000) }];
const TEXT = 'Wörter '.repeat(5_715).slice(0, 40_000);
const openAiText = (call: ProviderCall, texts: string[]) =>
  texts.reduce((sent, text) => sent.then(() => call.text(text)), Promise.resolve());
const anthropicText = async (call: ProviderCall, texts: string[]) => {
  await call.event('message_start', {
    message: { id: 'm', content: [], usage: { input_tokens: 5, output_tokens: 1 } },
  });
  await call.event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
  for (const text of texts) await call.event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } });
};

/** Reads until `end` has come. */
async function readUntil(response: Response, end: string): Promise<void> {
  let text = '';
  for await (const part of (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.includes(end)) return;
  }
  throw new Error(`it ended before ${end}: ${text.slice(-500)}`);
}

describe.each([
  ['passed through', 'one/m', chat, openAiText],
  ['passed through', 'two/m', claude, anthropicText],
  ['translated', 'one/m', claude, openAiText],
  ['translated', 'two/m', chat, anthropicText],
] as const)('an answer that is %s from %s', (_, model, { path, body }, say) => {
  it.each([
    ['one large event', [TEXT]],
    ['a thousand small ones', Array.from({ length: 1_000 }, (_, index) => TEXT.slice(index * 40, index * 40 + 40))],
  ])('costs its characters, a token for four, where its client leaves after %s', async (_, texts) => {
    const leave = new AbortController();
    const asked = post(path, { ...body, model, stream: true }, leave.signal);
    const call = await provider.next();
    const saying = say(call, [...texts, '<end>']);
    await readUntil(await asked, '<end>').finally(() => leave.abort());
    await saying;
    await call.aborted;
    const { tokens_this_minute: tokens, usd_today: usd } = await settled();
    expect(tokens).toBeGreaterThanOrEqual(10_000);
    expect(tokens).toBeLessThan(10_050);
    expect(usd).toBeCloseTo(tokens / 1_000, 1);
  });

  it.each([true, false])(
    'costs what was asked, where its client leaves before it begins; stream: %s',
    async (stream) => {
      const leave = new AbortController();
      const asked = post(path, { ...body, messages: long, model, stream }, leave.signal).catch(() => {});
      const call = await provider.next();
      leave.abort();
      await Promise.all([asked, call.aborted]);
      const { tokens_this_minute: tokens } = await settled();
      expect(tokens).toBeGreaterThanOrEqual(1_000);
      expect(tokens).toBeLessThan(1_050);
    },
  );
});

it('what lost a race costs what was asked, and so does what won', async () => {
  const asked = post('/v1/chat/completions', { model: 'hedged', stream: true, messages: long });
  const loser = await provider.next();
  const winner = await provider.next();
  await winner.text('hi');
  await winner.finish();
  expect(await (await asked).text()).toContain('hi');
  await loser.aborted;
  const { tokens_this_minute: tokens, usd_today: usd } = await settled();
  expect(tokens).toBeGreaterThanOrEqual(1_000 + 8);
  expect(tokens).toBeLessThan(1_050);
  expect(usd).toBeCloseTo(tokens / 1_000, 1);
  const metrics = await fetch(`${stack.llmProxy.url}/metrics`, { headers: { 'x-internal-auth': keys.llmProxy } });
  expect(await metrics.text()).toMatch(/codelab_tokens_total\{provider="one",model="a",kind="input",[^}]*\} 10\d\d/);
});

it.each([
  ['back', 2],
  ['one/m', 1],
])('of %s %i tries that broke off before the next cost what was asked', async (model, broken) => {
  const asked = post('/v1/chat/completions', { model, stream: true, messages: long });
  for (let tries = 0; tries < broken; tries++) {
    const call = await provider.next();
    call.open();
    call.response.end(': wait\n\n');
  }
  const call = await provider.next();
  await call.text('hi');
  await call.finish();
  expect(await (await asked).text()).toContain('hi');
  const { tokens_this_minute: tokens } = await settled();
  expect(tokens).toBeGreaterThanOrEqual(broken * 1_000 + 8);
  expect(tokens).toBeLessThan(broken * 1_050);
});

it('a whole answer without counts costs its characters', async () => {
  const asked = post('/v1/chat/completions', { model: 'one/m', messages });
  (await provider.next()).json({
    choices: [{ index: 0, message: { role: 'assistant', content: TEXT }, finish_reason: 'stop' }],
  });
  await asked;
  expect((await settled()).tokens_this_minute).toBeGreaterThanOrEqual(10_000);
  const again = post('/v1/messages', { model: 'two/m', messages, max_tokens: 9 });
  (await provider.next()).json({
    type: 'message',
    content: [{ type: 'text', text: TEXT }],
    stop_reason: 'end_turn',
    usage: {},
  });
  await again;
  while ((await used()).tokens_this_minute < 20_000) await new Promise((resolve) => setImmediate(resolve));
});

it.each([
  ['words', '{"prompt_tokens":"many","completion_tokens":"9"}'],
  ['less than nothing', '{"prompt_tokens":-1000000,"completion_tokens":-1}'],
  ['more than there are', '{"prompt_tokens":1e999,"completion_tokens":1e999}'],
  ['nothing', 'null'],
])('a provider that counts in %s does not spoil the counts', async (_, usage) => {
  const counted = post('/v1/chat/completions', { model: 'one/m', messages });
  (await provider.next()).json({
    choices: [{ finish_reason: 'stop' }],
    usage: { prompt_tokens: 70, completion_tokens: 30 },
  });
  await counted;
  expect((await settled()).tokens_this_minute).toBe(100);
  const asked = post('/v1/chat/completions', { model: 'one/m', messages });
  const call = await provider.next();
  call.response.writeHead(200, { 'content-type': 'application/json' });
  call.response.end(`{"choices":[{"finish_reason":"stop"}],"usage":${usage}}`);
  expect((await asked).status).toBe(200);
  const now = await settled();
  expect(now.tokens_this_minute).toBeGreaterThanOrEqual(100);
  expect(now.tokens_this_minute).toBeLessThan(200);
  expect(now.usd_today).toBeGreaterThanOrEqual(0.1);
});

it('nested as deep as may be, it is counted, and the key is let go', async () => {
  await stack.close();
  await provider.close();
  rmSync(folder, { recursive: true });
  await start(', concurrent_streams: 2');
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  for (const field of ['input', 'system', 'tools', 'messages'])
    for (const depth of [500, 3_000, 4_000, 100_000]) {
      const fields = field === 'messages' ? '' : `"messages":[{"role":"user","content":"x"}],`;
      const inner = field === 'messages' ? `[{"role":"user","content":${nested(depth)}}]` : nested(depth);
      const asked = post('/v1/chat/completions', `{"model":"one/m","stream":true,${fields}"${field}":${inner}}`);
      if (depth === 500) {
        const call = await provider.next();
        await call.text('Hello');
        await call.finish();
      }
      const response = await asked;
      expect(response.status).toBe(depth === 500 ? 200 : 400);
      await response.text();
    }
  const now = await settled();
  expect(now).toMatchObject({ requests_this_minute: 4, open_streams: 0 });
  expect(now.tokens_this_minute).toBeGreaterThan(0);
});
