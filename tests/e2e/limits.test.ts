import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { enterNewMinute } from '../support/minute.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let folder: string;
let first: FakeProvider;
let second: FakeProvider;
let stack: Stack;
let leaveMinute: () => void;
beforeEach(async () => {
  leaveMinute = enterNewMinute();
  folder = mkdtempSync(join(tmpdir(), 'limits-'));
  first = await startFakeProvider();
  second = await startFakeProvider();
});
afterEach(async () => {
  leaveMinute();
  await stack.close();
  await first.close();
  await second.close();
  rmSync(folder, { recursive: true });
});

const TEAM = 'the-key-of-the-team';
const start = async (config: string, variables: Record<string, string> = {}) => {
  const file = join(folder, 'config.yaml');
  writeFileSync(file, `providers:\n  one: { base_url: ${first.url} }\n  two: { base_url: ${second.url} }\n${config}`);
  stack = await startStack({ variables: { LLM_PROXY__CONFIG: file, TEAM_KEY: TEAM, ...variables } });
};
const client = (apiKey = TEAM) => new OpenAI({ maxRetries: 0, baseURL: `${stack.llmProxy.url}/v1`, apiKey });
const messages = [{ role: 'user' as const, content: 'hello there' }];
const ask = (model = 'one/m', apiKey = TEAM) => client(apiKey).chat.completions.create({ model, messages });
const failed = (asked: Promise<unknown>) =>
  asked.then(
    () => undefined,
    (error) => error,
  );
const said = (prompt: number, completion: number, text = 'x') => ({
  choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
  usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
});
const get = async (path: string, key = keys.llmProxy) => {
  const response = await fetch(`${stack.llmProxy.url}${path}`, { headers: { 'x-internal-auth': key } });
  return { status: response.status, text: await response.text() };
};
const used = async () => JSON.parse((await get('/v1/usage')).text).data[0].used;
/** Resolves when what is counted after an answer has been. */
const until = async (wanted: (counts: Awaited<ReturnType<typeof used>>) => boolean) => {
  while (!wanted(await used())) await new Promise((resolve) => setImmediate(resolve));
  return used();
};

const redisUrl = process.env.TEST_REDIS_URL;
const stores: Array<[string, boolean, Record<string, string>]> = [
  ['memory', true, {}],
  ['Redis', redisUrl !== undefined, { LLM_PROXY__REDIS_URL: redisUrl ?? '' }],
];

for (const [name, isThere, variables] of stores)
  describe.skipIf(!isThere)(`virtual keys, counted in ${name}`, () => {
    const team = () => `team-${Math.random().toString(36).slice(2)}`;

    it('may ask for what they are given, and see no more', async () => {
      await start(`keys:\n  ${team()}: { key_env: TEAM_KEY, models: ["one/*", "builtin/echo"] }\n`, variables);
      const asked = ask('one/m');
      (await first.next()).json(said(1, 1));
      await asked;
      expect(await failed(ask('two/m'))).toBeInstanceOf(OpenAI.PermissionDeniedError);
      expect(await failed(ask('one/m', 'no-such-key-at-all'))).toBeInstanceOf(OpenAI.AuthenticationError);
      expect((await client().models.list()).data.map(({ id }) => id)).toEqual(['one/fake-1', 'builtin/echo']);
      expect((await get('/metrics', TEAM)).status).toBe(401);
      const anthropic = new Anthropic({ maxRetries: 0, baseURL: stack.llmProxy.url, apiKey: TEAM });
      expect(await failed(anthropic.messages.create({ model: 'two/m', max_tokens: 1, messages }))).toBeInstanceOf(
        Anthropic.PermissionDeniedError,
      );
    });

    it('have so many requests a minute; a refusal says when to come back', async () => {
      await start(`keys:\n  ${team()}: { key_env: TEAM_KEY, requests_per_minute: 2 }\n`, variables);
      await ask('builtin/echo');
      await ask('builtin/echo');
      const error = await failed(ask('builtin/echo'));
      expect(error).toBeInstanceOf(OpenAI.RateLimitError);
      expect(error.code).toBe('rate_limit_exceeded');
      expect(Number(error.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(first.calls).toHaveLength(0);
      // llm-proxy's own key has no limits.
      await ask('builtin/echo', keys.llmProxy);
    });

    it('have so many tokens a minute', async () => {
      await start(`keys:\n  ${team()}: { key_env: TEAM_KEY, tokens_per_minute: 100 }\n`, variables);
      const asked = ask();
      (await first.next()).json(said(90, 20));
      await asked;
      await until(({ tokens_this_minute: tokens }) => tokens > 0);
      expect(await failed(ask())).toBeInstanceOf(OpenAI.RateLimitError);
      expect(await used()).toMatchObject({ requests_this_minute: 1, tokens_this_minute: 110, open_streams: 0 });
    });

    it('have so many answers at a time', async () => {
      await start(`keys:\n  ${team()}: { key_env: TEAM_KEY, concurrent_streams: 1 }\n`, variables);
      const asked = ask();
      const call = await first.next();
      expect(await failed(ask())).toBeInstanceOf(OpenAI.RateLimitError);
      call.json(said(1, 1));
      await asked;
      await until(({ open_streams: open }) => open === 0);
      const again = ask();
      (await first.next()).json(said(1, 1));
      await again;
    });

    it('have a budget, that is spent at the prices of the file; cancelled answers cost too', async () => {
      await start(
        `prices:\n  "one/*": { input: 1000000, output: 2000000, cached_input: 100000 }\nkeys:\n  ${team()}: { key_env: TEAM_KEY, budget_usd_per_day: 20, budget_usd_per_month: 1000 }\n`,
        variables,
      );
      expect(await failed(ask('two/m'))).toMatchObject({ status: 403, message: expect.stringContaining('price') });
      const asked = ask();
      const answer = said(3, 2);
      (await first.next()).json({ ...answer, usage: { ...answer.usage, prompt_tokens_details: { cached_tokens: 2 } } });
      await asked;
      // 1 fresh token, 2 cached ones, 2 written.
      expect((await until(({ usd_today: usd }) => usd > 0)).usd_today).toBeCloseTo(5.2);

      const leave = new AbortController();
      const streamed = client().chat.completions.create(
        { model: 'one/m', messages, stream: true },
        { signal: leave.signal },
      );
      const call = await first.next();
      for (let count = 0; count < 10; count++) await call.text('word ');
      for await (const _chunk of await streamed) break;
      leave.abort();
      await call.aborted;
      expect((await until(({ usd_today: usd }) => usd > 6)).usd_today).toBeGreaterThan(20);

      const error = await failed(ask());
      expect(error).toBeInstanceOf(OpenAI.RateLimitError);
      expect(error.code).toBe('insufficient_quota');
      expect(error.headers.get('x-should-retry')).toBe('false');
      expect(Number(error.headers.get('retry-after'))).toBeGreaterThan(0);
      expect((await get('/metrics')).text).toMatch(
        /codelab_cost_usd_total\{provider="one",model="m",service="llm-proxy"\} \d\d/,
      );
    });
  });

it.each(['short', 'aaaaaaaaaaaaaaaaaaaaaaaa', 'change-me'])(
  'the key %s, which is easy to guess, lets nobody in',
  async (key) => {
    await start('keys:\n  team: { key_env: TEAM_KEY }\n', { TEAM_KEY: key });
    expect(await failed(ask('builtin/echo', key))).toBeInstanceOf(OpenAI.AuthenticationError);
  },
);

it('the cost comes to agent-runtime with the usage', async () => {
  await start('prices:\n  "*": { input: 1, output: 2 }\n');
  const { createTRPCClient, createWSClient, wsLink } = await import('@trpc/client');
  const { default: superjson } = await import('superjson');
  const { WebSocket } = await import('ws');
  const socket = createWSClient({
    url: `${stack.llmProxy.url.replace('http', 'ws')}/trpc`,
    WebSocket: WebSocket as never,
    connectionParams: { token: keys.llmProxy },
  });
  // biome-ignore lint/suspicious/noExplicitAny: this client has no types of its own
  const rpc = createTRPCClient<any>({ links: [wsLink({ client: socket, transformer: superjson as never })] }) as any;
  const chunks: Array<{ type: string }> = [];
  const done = new Promise<void>((resolve, reject) => {
    rpc.completion.stream.subscribe(
      { request: { model: 'one/m', messages } },
      { onData: ({ data }: { data: { type: string } }) => chunks.push(data), onComplete: resolve, onError: reject },
    );
  });
  await (await first.next()).finish();
  await done;
  expect(chunks.find(({ type }) => type === 'usage')).toMatchObject({ costUsd: (3 * 1 + 5 * 2) / 1e6 });
  socket.close();
});

describe('the response cache', () => {
  it('gives the same answer to the same question, streamed or not, only where it is asked for', async () => {
    await start('cache: { ttl_seconds: 60 }\n');
    const asked = ask('one/m', keys.llmProxy);
    (await first.next()).json(said(1, 1, 'once'));
    await asked;
    expect((await ask('one/m', keys.llmProxy)).choices[0]?.message.content).toBe('once');
    const stream = async () => {
      let text = '';
      for await (const chunk of await client(keys.llmProxy).chat.completions.create({
        model: 'one/m',
        messages,
        stream: true,
      }))
        text += chunk.choices[0]?.delta.content ?? '';
      return text;
    };
    const streamed = stream();
    const call = await first.next();
    await call.text('as a ');
    await call.text('stream');
    await call.finish();
    expect(await streamed).toBe('as a stream');
    expect(await stream()).toBe('as a stream');
    expect(first.calls).toHaveLength(2);
    expect((await get('/metrics')).text).toMatch(/codelab_cache_hits_total\{service="llm-proxy"\} 2/);
    const fresh = client(keys.llmProxy).chat.completions.create(
      { model: 'one/m', messages },
      { headers: { 'cache-control': 'no-cache' } },
    );
    (await first.next()).json(said(1, 1, 'anew'));
    expect((await fresh).choices[0]?.message.content).toBe('anew');
  });

  it('keeps no failure, and nothing where it is off', async () => {
    await start('cache: { ttl_seconds: 60 }\n');
    const asked = failed(ask('one/m', keys.llmProxy));
    (await first.next()).json({ error: { message: 'no' } }, 400);
    await asked;
    const again = ask('one/m', keys.llmProxy);
    (await first.next()).json(said(1, 1));
    await again;
  });

  it('does not keep an answer that ended by a failure', async () => {
    await start('cache: { ttl_seconds: 60 }\n');
    const stream = async () => {
      const asked = { model: 'one/m', messages, stream: true as const };
      const { body } = await client(keys.llmProxy).chat.completions.create(asked).asResponse();
      return new Response(body).text();
    };
    for (const [text, reason] of [
      ['half', 'error'],
      ['all', 'stop'],
    ] as const) {
      const asked = stream();
      const call = await first.next();
      await call.text(text);
      await call.finish(reason);
      expect(await asked).toContain(text);
    }
    expect(await stream()).toContain('all');
  });
});

describe('routes that fail', () => {
  it('are left alone after so many failures in a row, and tried again after a while', async () => {
    await start('models:\n  mine: { routes: [{ model: one/a }], fallbacks: [two/b] }\n', {
      LLM_PROXY__BREAKER_FAILURES: '2',
      LLM_PROXY__BREAKER_COOLDOWN_MS: '400',
    });
    const fall = async (isAsked: boolean) => {
      const asked = ask('mine', keys.llmProxy);
      if (isAsked) (await first.next()).response.writeHead(500).end();
      (await second.next()).json(said(1, 1));
      await asked;
    };
    await fall(true);
    await fall(true);
    await fall(false);
    expect(first.calls).toHaveLength(2);
    expect((await get('/metrics')).text).toMatch(
      /codelab_breaker_state\{provider="one",model="a",service="llm-proxy"\} 2/,
    );
    const alone = await failed(ask('one/a', keys.llmProxy));
    expect(alone).toMatchObject({ status: 502, message: expect.stringContaining('too often in a row') });
    expect(Number(alone.headers.get('retry-after'))).toBeGreaterThan(0);
    while (!/codelab_breaker_state\{[^}]*\} 1/.test((await get('/metrics')).text))
      await new Promise((resolve) => setImmediate(resolve));
    const trial = ask('one/a', keys.llmProxy);
    (await first.next()).json(said(1, 1));
    await trial;
    expect((await get('/metrics')).text).not.toContain('codelab_breaker_state{');
  });

  it('hedged: whichever begins first answers, the other one is let go', async () => {
    await start('models:\n  mine: { routes: [{ model: one/a }], fallbacks: [two/b], hedge_after_ms: 20 }\n');
    const text = async () => {
      let all = '';
      for await (const chunk of await client(keys.llmProxy).chat.completions.create({
        model: 'mine',
        messages,
        stream: true,
      }))
        all += chunk.choices[0]?.delta.content ?? '';
      return all;
    };
    const asked = text();
    const slow = await first.next();
    const fast = await second.next();
    await slow.delta({ role: 'assistant', content: '' });
    await fast.text('from the second');
    await slow.aborted;
    await fast.finish();
    expect(await asked).toBe('from the second');

    const again = text();
    const late = await first.next();
    const rival = await second.next();
    await late.text('from the first');
    await rival.aborted;
    await late.finish();
    expect(await again).toBe('from the first');
  });

  it('a route whose trial lost a race may be tried again', async () => {
    await start('models:\n  mine: { routes: [{ model: one/a }], fallbacks: [two/b], hedge_after_ms: 20 }\n', {
      LLM_PROXY__BREAKER_FAILURES: '1',
      LLM_PROXY__BREAKER_COOLDOWN_MS: '50',
    });
    const broken = failed(ask('two/b', keys.llmProxy));
    (await second.next()).response.writeHead(500).end();
    await broken;
    const isHalfOpen = async () => /codelab_breaker_state\{[^}]*\} 1/.test((await get('/metrics')).text);
    while (!(await isHalfOpen())) await new Promise((resolve) => setImmediate(resolve));
    for (let round = 0; round < 2; round++) {
      const asked = ask('mine', keys.llmProxy);
      const call = await first.next();
      const trial = await second.next();
      call.json(said(1, 1));
      await asked;
      await trial.aborted;
    }
  });

  it('a server that accepts the connection and says nothing of TLS is given up after the connect timeout', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    await start('', {
      LLM_PROXY__CONNECT_TIMEOUT_MS: '200',
      LLM_PROXY__OPENAI_BASE_URL: `https://127.0.0.1:${port}/v1`,
    });
    expect(await failed(ask('openai/x', keys.llmProxy))).toMatchObject({
      status: 502,
      message: expect.stringContaining('too long to accept'),
    });
    silent.close();
  });
});

it('Azure: the deployment and the version are in the address, the key in its header', async () => {
  await start('');
  await stack.close();
  writeFileSync(
    join(folder, 'azure.yaml'),
    `providers:\n  azure: { kind: azure, base_url: ${first.url.replace('/v1', '/openai')}, api_key_env: AZURE_KEY, api_version: 2024-10-21 }\n  azure-v1: { kind: azure, base_url: ${first.url.replace('/v1', '/openai')}, api_key_env: AZURE_KEY, headers: { x-team: a } }\n`,
  );
  stack = await startStack({ variables: { LLM_PROXY__CONFIG: join(folder, 'azure.yaml'), AZURE_KEY: 'azure-key' } });
  for (const [model, path] of [
    ['azure/my gpt', '/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21'],
    ['azure-v1/gpt', '/openai/v1/chat/completions'],
  ] as const) {
    const asked = ask(model, keys.llmProxy);
    const call = await first.next();
    expect(call.path).toBe(path);
    expect(call.headers['api-key']).toBe('azure-key');
    expect(call.headers.authorization).toBeUndefined();
    call.json(said(1, 1));
    await asked;
  }
  expect(first.calls.at(-1)?.headers['x-team']).toBe('a');
});

it.skipIf(redisUrl === undefined)('two llm-proxies share the counters of their keys', async () => {
  const name = `team-${Math.random().toString(36).slice(2)}`;
  const variables = { LLM_PROXY__REDIS_URL: redisUrl ?? '' };
  await start(`keys:\n  ${name}: { key_env: TEAM_KEY, requests_per_minute: 2 }\n`, variables);
  const other = await startStack({
    variables: { LLM_PROXY__CONFIG: join(folder, 'config.yaml'), TEAM_KEY: TEAM, ...variables },
  });
  const there = new OpenAI({ maxRetries: 0, baseURL: `${other.llmProxy.url}/v1`, apiKey: TEAM });
  const askThere = () => there.chat.completions.create({ model: 'builtin/echo', messages });
  await ask('builtin/echo');
  await askThere();
  expect(await failed(askThere())).toBeInstanceOf(OpenAI.RateLimitError);
  expect(await failed(ask('builtin/echo'))).toBeInstanceOf(OpenAI.RateLimitError);
  await other.close();
});
