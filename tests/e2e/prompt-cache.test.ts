import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { tool } from '../../packages/sdk/src/index.ts';
import { sayInAnthropic } from '../support/anthropic-answer.ts';
import { type FakeProvider, type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { type Stack, startStack } from '../support/stack.ts';

const cleanups: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function setUp(
  answer?: (call: ProviderCall) => Promise<void> | void,
  variables: Record<string, string> = {},
): Promise<{ provider: FakeProvider; stack: Stack }> {
  const provider = await startFakeProvider(answer);
  cleanups.push(() => provider.close());
  const stack = await startStack({
    providerUrl: provider.url,
    variables: {
      LLM_PROXY__ANTHROPIC_BASE_URL: provider.url.replace('/v1', ''),
      LLM_PROXY__ANTHROPIC_API_KEY: 'sk-test',
      AGENT_RUNTIME__MAX_STEPS: '60',
      ...variables,
    },
  });
  cleanups.push(() => stack.close());
  return { provider, stack };
}

const STEPS = 50;
/** Announced in no order. */
const tools = Object.fromEntries(
  ['zoom', 'apply', 'look'].map((name) => [
    name,
    tool({ description: name, input: { type: 'object' }, kind: 'read', execute: () => name }),
  ]),
);

/** Calls tools for as many steps, then ends. */
async function callTools(call: ProviderCall, step: number): Promise<void> {
  const calls = Array.from({ length: (step % 3) + 1 }, (_, n) => ({
    name: 'calculator',
    args: { expression: `${step} + ${n}` },
  }));
  if (call.path.endsWith('/messages'))
    return sayInAnthropic(
      call,
      step < STEPS ? { calls: calls.map((each, n) => ({ ...each, id: `t_${step}_${n}` })) } : {},
    );
  if (step < STEPS) await call.tools(...calls);
  await call.finish(step < STEPS ? 'tool_calls' : 'stop');
}

async function askFor50Steps(model: string): Promise<ProviderCall[]> {
  let step = 0;
  const { provider, stack } = await setUp((call) => callTools(call, step++));
  const session = await stack.client({ tools }).sessions.create({ model });
  await session.send('first').finished();
  step = STEPS;
  await session.send('second').finished();
  await stack.restartRuntime();
  await session.send('third').finished();
  return provider.calls;
}

describe('what was sent to a provider begins the next request, byte for byte', { timeout: 60_000 }, () => {
  it("on OpenAI's wire, with one key for the session", async () => {
    const calls = await askFor50Steps('openai/gpt-x');
    expect(calls).toHaveLength(STEPS + 3);
    const names = calls[0]?.body.tools.map(({ function: { name } }: { function: { name: string } }) => name);
    expect(names).toEqual([...names].sort());
    const ends = calls.map(({ bytes }) => bytes.indexOf('],"tools":'));
    for (const [index, { bytes, body }] of calls.slice(1).entries()) {
      const before = calls[index]?.bytes ?? '';
      expect(bytes.startsWith(before.slice(0, ends[index]))).toBe(true);
      expect(bytes.slice(ends[index + 1])).toBe(before.slice(ends[index]));
      expect(body.prompt_cache_key).toMatch(/^[\w-]{43}$/);
    }
  });

  it("on Anthropic's, with the newest two turns marked, of which the older one ended the request before", async () => {
    const calls = await askFor50Steps('anthropic/claude-x');
    expect(calls).toHaveLength(STEPS + 3);
    const marks = (text: string) => text.split('"cache_control":{"type":"ephemeral"}').length - 1;
    const plain = (value: unknown) => JSON.stringify(value).replaceAll(',"cache_control":{"type":"ephemeral"}', '');
    const blocksOf = ({ body }: ProviderCall): unknown[] =>
      body.messages.flatMap((each: { content: unknown[] }) => each.content);
    for (const [index, call] of calls.entries()) {
      expect(marks(call.bytes)).toBe(index === 0 ? 3 : 4);
      expect(marks(JSON.stringify(call.body.tools.at(-1)))).toBe(1);
      expect(marks(JSON.stringify(call.body.system.at(-1)))).toBe(1);
      expect(marks(JSON.stringify(blocksOf(call).at(-1)))).toBe(1);
      const before = calls[index - 1];
      if (before === undefined) continue;
      expect(plain([call.body.system, call.body.tools])).toBe(plain([before.body.system, before.body.tools]));
      const [said, saidBefore] = [blocksOf(call), blocksOf(before)];
      expect(plain(said.slice(0, saidBefore.length))).toBe(plain(saidBefore));
      expect(marks(JSON.stringify(said[saidBefore.length - 1]))).toBe(1);
    }
  });
});

it('what is cached for an hour is marked so; what comes from elsewhere is not marked', async () => {
  const { provider, stack } = await setUp(undefined, { LLM_PROXY__PROMPT_CACHE_TTL: '1h' });
  const session = await stack.client().sessions.create({ model: 'anthropic/claude-x' });
  const run = session.send('hi');
  const call = await provider.next();
  expect(call.body.system.at(-1).cache_control).toEqual({ type: 'ephemeral', ttl: '1h' });
  await sayInAnthropic(call, {});
  await run.finished();
  const asked = fetch(`${stack.llmProxy.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-internal-auth': 'test-key-of-llm-proxy' },
    body: JSON.stringify({ model: 'anthropic/claude-x', stream: true, messages: [{ role: 'user', content: 'hi' }] }),
  });
  const other = await provider.next();
  expect(other.bytes).not.toContain('cache_control');
  await sayInAnthropic(other, {});
  await (await asked).text();
});

it('a provider that refuses the key is asked again without it, once', async () => {
  const { provider, stack } = await setUp();
  const session = await stack.client().sessions.create({ model: 'openai/gpt-x' });
  const run = session.send('hi');
  const first = await provider.next();
  expect(first.body.prompt_cache_key).toBeDefined();
  first.json({ error: { message: 'Unrecognized request argument supplied: prompt_cache_key' } }, 400);
  for (const [index, text] of ['one', 'two'].entries()) {
    const next = index === 0 ? run : session.send('and?');
    const call = await provider.next();
    expect(call.body.prompt_cache_key).toBeUndefined();
    await call.text(text);
    await call.finish();
    expect(await next.finished()).toMatchObject({ text });
  }
});

it("servers of OpenAI's wire get the key where the configuration says that they take it", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'codelab-cache-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'config.yaml');
  const provider = await startFakeProvider();
  cleanups.push(() => provider.close());
  const lines = ['a: { base_url: ', 'b: { prompt_cache: true, base_url: '].map(
    (line) => `  ${line}"${provider.url}" }`,
  );
  await writeFile(file, `providers:\n${lines.join('\n')}\n`);
  const stack = await startStack({ providerUrl: provider.url, variables: { LLM_PROXY__CONFIG: file } });
  cleanups.push(() => stack.close());
  for (const [model, isSent] of [
    ['a/x', false],
    ['b/x', true],
  ] as const) {
    const session = await stack.client().sessions.create({ model });
    const run = session.send('hi');
    const call = await provider.next();
    expect(call.body.prompt_cache_key !== undefined).toBe(isSent);
    await call.finish();
    await run.finished();
  }
});

it('fresh, cached and written tokens are told apart by step, run and session, with what they cost', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'codelab-cache-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'config.yaml');
  const price = '{ input: 1000000, cached_input: 100000, cache_write: 2000000, output: 0 }';
  await writeFile(file, `prices:\n  "*": ${price}\n`);
  const { provider, stack } = await setUp(undefined, { LLM_PROXY__CONFIG: file });
  const session = await stack.client().sessions.create({ model: 'anthropic/claude-x' });
  const usage = { inputTokens: 17, cachedTokens: 10, cacheWriteTokens: 5 };
  const steps: unknown[] = [];

  const first = session.send('hi');
  await sayInAnthropic(await provider.next(), {
    usage: { input_tokens: 2, cache_read_input_tokens: 10, cache_creation_input_tokens: 5, output_tokens: 1 },
  });
  for await (const event of first.events)
    if (event.type === 'step.finished' || event.type === 'run.finished') steps.push(event);
  expect(steps).toEqual([
    expect.objectContaining({ type: 'step.finished', usage: expect.objectContaining(usage), costUsd: 13 }),
    expect.objectContaining({ type: 'run.finished', usage: expect.objectContaining(usage), costUsd: 13 }),
  ]);

  const second = session.send('and?', { model: 'openai/gpt-x' });
  const call = await provider.next();
  await call.text('yes');
  await call.delta({});
  const counts = {
    prompt_tokens: 17,
    completion_tokens: 1,
    prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 5 },
  };
  await call.raw(
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: counts })}\n\n`,
  );
  await call.raw('data: [DONE]\n\n');
  call.response.end();
  await second.finished();
  expect(await session.usage()).toMatchObject({
    usage: { inputTokens: 34, cachedTokens: 20, cacheWriteTokens: 10 },
    costUsd: 26,
    byModel: [{ usage }, { usage }],
  });
  const rest = await fetch(`${stack.gateway.url}/api/v1/sessions/${session.id}/usage`, {
    headers: { 'x-internal-auth': 'test-key-of-the-gateway' },
  });
  expect(await rest.json()).toMatchObject({ usage: { cachedTokens: 20, cacheWriteTokens: 10 } });
});

it("written tokens are told on the other one's wire", async () => {
  const { provider, stack } = await setUp();
  const ask = async (path: string, body: object) => {
    const response = await fetch(`${stack.llmProxy.url}${path}`, {
      method: 'POST',
      headers: { 'x-internal-auth': 'test-key-of-llm-proxy' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 9, ...body }),
    });
    return ((await response.json()) as { usage: unknown }).usage;
  };
  const openAi = ask('/v1/chat/completions', { model: 'anthropic/claude-x' });
  await sayInAnthropic(await provider.next(), {
    usage: { input_tokens: 2, cache_read_input_tokens: 10, cache_creation_input_tokens: 5, output_tokens: 1 },
  });
  expect(await openAi).toMatchObject({
    prompt_tokens: 17,
    prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 5 },
  });
  const anthropic = ask('/v1/messages', { model: 'openai/gpt-x' });
  const call = await provider.next();
  const usage = {
    prompt_tokens: 17,
    completion_tokens: 1,
    prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 5 },
  };
  await call.raw(
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'hi' }, finish_reason: 'stop' }], usage })}\n\n`,
  );
  await call.raw('data: [DONE]\n\n');
  call.response.end();
  expect(await anthropic).toEqual({
    input_tokens: 2,
    cache_read_input_tokens: 10,
    cache_creation_input_tokens: 5,
    output_tokens: 1,
  });
});
