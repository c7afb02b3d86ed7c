import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let provider: FakeProvider;
let stack: Stack;
beforeAll(async () => {
  provider = await startFakeProvider(async (call) => {
    if (call.body.messages.at(-1).content === 'fail') {
      call.response.writeHead(401, { 'content-type': 'application/json' });
      call.response.end('{}');
      return;
    }
    await call.text('Hi');
    await call.finish();
  });
  stack = await startStack({ providerUrl: provider.url });
});
afterAll(async () => {
  await stack.close();
  await provider.close();
});

const services = () => [
  { url: stack.gateway.url, key: keys.gateway, name: 'gateway' },
  { url: stack.runtime.url, key: keys.runtime, name: 'agent-runtime' },
  { url: stack.llmProxy.url, key: keys.llmProxy, name: 'llm-proxy' },
];

it('each service shows its own to whoever has its key, and to nobody else', async () => {
  for (const { url, key, name } of services()) {
    expect((await fetch(`${url}/metrics`, { headers: { 'x-internal-auth': 'wrong' } })).status).toBe(401);
    const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
    expect(response.headers.get('content-type')).toContain('text/plain');
    const text = await response.text();
    expect(text).toMatch(new RegExp(`^codelab_active_work\\{service="${name}"\\} 0$`, 'm'));
    expect(text).toContain('process_cpu_seconds_total');
  }
});

it('llm-proxy counts completions, tokens and errors', async () => {
  const session = await stack.client().sessions.create({ model: 'fake-1' });
  await session.send('one').finished();
  await session.send('two').finished();
  await expect(session.send('fail').finished()).rejects.toMatchObject({ code: 'PROVIDER_AUTH' });
  const text = await (
    await fetch(`${stack.llmProxy.url}/metrics`, { headers: { 'x-internal-auth': keys.llmProxy } })
  ).text();
  const value = (name: string, labels: string) =>
    Number(new RegExp(`^${name}\\{${labels},service="llm-proxy"\\} (\\S+)$`, 'm').exec(text)?.[1]);
  expect(value('codelab_completions_total', 'provider="openai",model="fake-1",outcome="finish"')).toBe(2);
  expect(value('codelab_completions_total', 'provider="openai",model="fake-1",outcome="error"')).toBe(1);
  expect(value('codelab_completion_errors_total', 'provider="openai",model="fake-1",code="PROVIDER_AUTH"')).toBe(1);
  expect(value('codelab_tokens_total', 'provider="openai",model="fake-1",kind="input"')).toBe(6);
  expect(value('codelab_tokens_total', 'provider="openai",model="fake-1",kind="output"')).toBe(10);
  expect(text).toContain('codelab_first_token_seconds_count{service="llm-proxy",provider="openai",model="fake-1"} 2');
});
