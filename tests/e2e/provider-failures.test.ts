import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FakeProvider, type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let provider: FakeProvider;
let stack: Stack | undefined;
beforeEach(async () => {
  provider = await startFakeProvider();
});
afterEach(async () => {
  await stack?.close();
  await provider.close();
});

const start = async (variables: Record<string, string>) => {
  stack = await startStack({
    providerUrl: provider.url,
    variables: { AGENT_RUNTIME__STEP_RETRIES: '0', ...variables },
  });
  return stack.client().sessions.create();
};
const fail = (call: ProviderCall, status: number, headers: Record<string, string> = {}) => {
  call.response.writeHead(status, { 'content-type': 'application/json', ...headers });
  call.response.end('{"error":{"message":"not now"}}');
};

it('tries again before the first token, and the answer is whole', async () => {
  const session = await start({ LLM_PROXY__MAX_RETRIES: '3' });
  const run = session.send('go');
  fail(await provider.next(), 503);
  (await provider.next()).response.destroy();
  const silent = await provider.next();
  silent.open();
  silent.response.end();
  const call = await provider.next();
  await call.text('at last');
  await call.finish();
  expect(await run.finished()).toMatchObject({ status: 'completed', text: 'at last' });
  expect(provider.calls).toHaveLength(4);
});

it('honours Retry-After', async () => {
  const session = await start({ LLM_PROXY__MAX_RETRIES: '1' });
  const run = session.send('go');
  fail(await provider.next(), 429, { 'retry-after': '1' });
  const asked = performance.now();
  const call = await provider.next();
  expect(performance.now() - asked).toBeGreaterThanOrEqual(990);
  await call.finish();
  await run.finished();
});

it('never tries again after the first token', async () => {
  const session = await start({ LLM_PROXY__MAX_RETRIES: '3' });
  const run = session.send('go');
  const call = await provider.next();
  await call.text('half');
  await run.textStream[Symbol.asyncIterator]().next();
  call.response.destroy();
  await expect(run.finished()).rejects.toMatchObject({ code: 'PROVIDER_STREAM_LOST' });
  expect(provider.calls).toHaveLength(1);
});

it.each(['error', 'abort', 'insufficient_system_resource'])(
  'an answer that ends by "%s" is no answer',
  async (reason) => {
    const session = await start({ LLM_PROXY__MAX_RETRIES: '0' });
    const run = session.send('go');
    const call = await provider.next();
    await call.text('half an ans');
    await call.finish(reason);
    await expect(run.finished()).rejects.toMatchObject({ code: 'PROVIDER_STREAM_LOST' });
  },
);

it.each(['length', 'model_length', 'MAX_TOKENS'])('an answer that ends by "%s" has met its limit', async (reason) => {
  const session = await start({});
  const run = session.send('go');
  const call = await provider.next();
  await call.text('half an ans');
  await call.finish(reason);
  expect(await run.finished()).toMatchObject({ status: 'limit', text: 'half an ans' });
});

it('answers that end by a failure open the breaker, though they are passed on', async () => {
  await start({ LLM_PROXY__BREAKER_FAILURES: '2', LLM_PROXY__MAX_RETRIES: '0' });
  const ask = () =>
    fetch(`${stack?.llmProxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.llmProxy },
      body: JSON.stringify({ model: 'fake-1', stream: true, messages: [{ role: 'user', content: 'go' }] }),
    });
  for (let time = 0; time < 2; time++) {
    const asked = ask();
    const call = await provider.next();
    await call.text('half an ans');
    await call.finish('error');
    expect(await (await asked).text()).toContain('"finish_reason":"error"');
  }
  expect((await ask()).status).toBe(502);
  expect(provider.calls).toHaveLength(2);
});

it('does not try again what can only fail again', async () => {
  const session = await start({ LLM_PROXY__MAX_RETRIES: '3' });
  const run = session.send('go');
  fail(await provider.next(), 401);
  await expect(run.finished()).rejects.toMatchObject({ code: 'PROVIDER_AUTH' });
  expect(provider.calls).toHaveLength(1);
});

it('a cancel ends the wait for the next try', async () => {
  const session = await start({ LLM_PROXY__MAX_RETRIES: '3' });
  const run = session.send('go');
  fail(await provider.next(), 429, { 'retry-after': '14' });
  await run.cancel();
  expect(await run.finished()).toMatchObject({ status: 'cancelled' });
  expect(provider.calls).toHaveLength(1);
});

it.each([
  ['accepts and says nothing', 'LLM_PROXY__FIRST_TOKEN_TIMEOUT_MS', async () => {}, 'PROVIDER_UNAVAILABLE'],
  [
    'opens the stream and says nothing',
    'LLM_PROXY__FIRST_TOKEN_TIMEOUT_MS',
    async (call: ProviderCall) => call.raw(': hello\n\n'),
    'PROVIDER_UNAVAILABLE',
  ],
  [
    'stops in the middle',
    'LLM_PROXY__IDLE_TIMEOUT_MS',
    async (call: ProviderCall) => call.text('half'),
    'PROVIDER_STREAM_LOST',
  ],
  [
    'never comes to an end',
    'LLM_PROXY__TOTAL_TIMEOUT_MS',
    async (call: ProviderCall) => call.text('half'),
    'PROVIDER_STREAM_LOST',
  ],
])('a provider that %s is given up after %s, and let go', async (_, variable, act, code) => {
  const session = await start({ LLM_PROXY__MAX_RETRIES: '0', [variable]: '300' });
  const run = session.send('go');
  const call = await provider.next();
  await act(call);
  await expect(run.finished()).rejects.toMatchObject({ code });
  await call.aborted;
});

it('a redirect is followed or refused, and ends all the same', async () => {
  stack = await startStack({ providerUrl: provider.url, variables: { LLM_PROXY__MAX_RETRIES: '0' } });
  const asked = fetch(`${stack.llmProxy.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-internal-auth': keys.llmProxy },
    body: JSON.stringify({ model: 'fake-1', messages: [{ role: 'user', content: 'go' }] }),
  });
  const call = await provider.next();
  call.response.writeHead(302, { location: `${provider.url}/models` });
  call.response.end();
  expect((await asked).status).toBe(502);
});

it('a provider that says nothing is given up where the answer is not streamed too', async () => {
  stack = await startStack({
    providerUrl: provider.url,
    variables: { LLM_PROXY__MAX_RETRIES: '0', LLM_PROXY__FIRST_TOKEN_TIMEOUT_MS: '300' },
  });
  const asked = fetch(`${stack.llmProxy.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-internal-auth': keys.llmProxy },
    body: JSON.stringify({ model: 'fake-1', messages: [{ role: 'user', content: 'go' }] }),
  });
  const call = await provider.next();
  expect((await asked).status).toBe(502);
  await call.aborted;
});

it('a thousand clients that leave at any moment leave nothing behind', async () => {
  stack = await startStack({ providerUrl: provider.url, variables: { LLM_PROXY__MAX_RETRIES: '2' } });
  const { url } = stack.llmProxy;
  const leaveAfter = async (turns: number, stream: boolean) => {
    const leave = new AbortController();
    const asked = fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.llmProxy },
      body: JSON.stringify({ model: 'fake-1', stream, messages: [{ role: 'user', content: 'go' }] }),
      signal: leave.signal,
    }).then((response) => response.text());
    asked.catch(() => {});
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    leave.abort();
    await asked.catch(() => {});
  };
  for (let round = 0; round < 50; round++)
    await Promise.all(Array.from({ length: 20 }, (_, index) => leaveAfter(index * 2, index % 2 === 0)));
  await Promise.all(provider.calls.map(({ aborted }) => aborted));
  const metric = async (name: string) => {
    const response = await fetch(`${url}/metrics`, { headers: { 'x-internal-auth': keys.llmProxy } });
    return Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(await response.text())?.[1]);
  };
  while ((await metric('codelab_open_completions')) > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(await metric('codelab_active_work')).toBe(0);
});
