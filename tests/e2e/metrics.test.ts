import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDeferred } from '../../packages/agent-runtime/src/lib/deferred.ts';
import { tool } from '../../packages/sdk/src/index.ts';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let provider: FakeProvider;
let stack: Stack;
/** Resolves when the model is asked `wait`; it answers once `answer` is resolved. */
const asked = createDeferred<void>();
const answer = createDeferred<void>();
beforeAll(async () => {
  provider = await startFakeProvider(async (call) => {
    if (call.body.messages.at(-1).content === 'fail') {
      call.response.writeHead(401, { 'content-type': 'application/json' });
      call.response.end('{}');
      return;
    }
    if (call.body.messages.at(-1).content === 'call save') {
      await call.tools({ name: 'save', args: {} });
      return call.finish('tool_calls');
    }
    if (call.body.messages.at(-1).content === 'wait') {
      asked.resolve();
      await answer.promise;
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

/** Reads a metric of a service; labels in any order, the service's own left out. */
async function readMetrics(name: string) {
  const service = services().find((each) => each.name === name);
  if (service === undefined) throw new Error(`no service ${name}`);
  const text = await (await fetch(`${service.url}/metrics`, { headers: { 'x-internal-auth': service.key } })).text();
  return (metric: string, labels: Record<string, string> = {}): number => {
    for (const line of text.split('\n')) {
      const [, own, list = '', value] = /^(\w+)\{(.*)\} (\S+)$/.exec(line) ?? [];
      const found = Object.fromEntries([...list.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, is]) => [label, is]));
      if (own === metric && JSON.stringify(sorted(found)) === JSON.stringify(sorted({ ...labels, service: name })))
        return Number(value);
    }
    return 0;
  };
}
const sorted = (labels: object) => Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));

it('gateway counts messages and measures calls; agent-runtime counts sessions, runs, tool calls and approvals', async () => {
  const read = async () => ({
    gateway: await readMetrics('gateway'),
    runtime: await readMetrics('agent-runtime'),
  });
  const before = await read();
  const save = tool({ description: 'Saves', input: { type: 'object' }, kind: 'write', execute: () => 'saved' });
  const client = stack.client({ tools: { save } });
  const session = await client.sessions.create({ model: 'fake-1' });
  session.onApproval(() => ({ decision: 'allow' }));
  await session.send('call save').finished();
  await session.send('hi', { inputId: 'in-1' }).finished();
  await client.call('input.send', { sessionId: session.id, inputId: 'in-1', content: 'hi' });
  await expect(client.call('input.send', { sessionId: 'nobody', inputId: 'in-2', content: 'hi' })).rejects.toThrow();
  await expect(session.send('fail').finished()).rejects.toMatchObject({ code: 'PROVIDER_AUTH' });
  const after = await read();
  const more = (service: keyof typeof after, metric: string, labels?: Record<string, string>) =>
    after[service](metric, labels) - before[service](metric, labels);

  expect(more('gateway', 'messages_processed_total', { outcome: 'accepted' })).toBe(3);
  expect(more('gateway', 'messages_processed_total', { outcome: 'replayed' })).toBe(1);
  expect(more('gateway', 'messages_processed_total', { outcome: 'NOT_FOUND' })).toBe(1);
  expect(more('gateway', 'response_time_seconds_count', { procedure: 'input.send', outcome: 'ok' })).toBe(4);
  expect(more('gateway', 'response_time_seconds_count', { procedure: 'input.send', outcome: 'NOT_FOUND' })).toBe(1);
  expect(more('gateway', 'response_time_seconds_count', { procedure: 'session.create', outcome: 'ok' })).toBe(1);

  expect(more('runtime', 'codelab_sessions_total', { how: 'created' })).toBe(1);
  expect(after.runtime('codelab_live_sessions')).toBeGreaterThan(0);
  expect(more('runtime', 'codelab_runs_total', { status: 'completed', code: '' })).toBe(2);
  expect(more('runtime', 'codelab_runs_total', { status: 'failed', code: 'PROVIDER_AUTH' })).toBe(1);
  expect(more('runtime', 'codelab_run_seconds_count', { status: 'completed' })).toBe(2);
  expect(more('runtime', 'codelab_tool_calls_total', { outcome: 'succeeded' })).toBe(1);
  expect(more('runtime', 'codelab_approvals_requested_total')).toBe(1);
  expect(more('runtime', 'codelab_approval_wait_seconds_count', { decision: 'allow' })).toBe(1);
});

it('agent-runtime counts the runs that it takes up after a restart', async () => {
  const session = await stack.client().sessions.create({ model: 'fake-1' });
  const run = session.send('wait');
  await asked.promise;
  // A new process counts from nothing.
  await stack.restartRuntime(async () => answer.resolve());
  await run.finished();
  expect((await readMetrics('agent-runtime'))('codelab_runs_resumed_total')).toBe(1);
});

it('docs/metrics.md has them all, with their labels', async () => {
  const page = await readFile(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  const told = [...page.matchAll(/^\| `(\w+)` +\| (\w+) +\|/gm)].map(([, name, type]) => `${name} ${type}`);
  const found = new Set<string>();
  for (const { url, key } of services()) {
    const text = await (await fetch(`${url}/metrics`, { headers: { 'x-internal-auth': key } })).text();
    for (const [, name = '', type = ''] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm))
      if (!/^(nodejs|process)_/.test(name)) found.add(`${name} ${type}`);
  }
  expect(told.toSorted()).toEqual([...found].toSorted());
});

it('a log at debug tells the way of a message, and nothing of what is said', async () => {
  const own = await startStack({ providerUrl: provider.url, logs: true });
  try {
    const save = tool({ description: 'Saves', input: { type: 'object' }, kind: 'read', execute: () => 'saved' });
    const session = await own.client({ tools: { save } }).sessions.create({ model: 'fake-1' });
    await session.send('call save').finished();
    await fetch(`${own.gateway.url}/health`);
    const debug = own.logs.filter(({ level }) => level === 'debug');
    const told = new Set(debug.map(({ service, event }) => `${service} ${event}`));
    for (const each of [
      'gateway request.end',
      'gateway socket.open',
      'gateway call.end',
      'agent-runtime call.end',
      'agent-runtime session.load',
      'agent-runtime model.ask',
      'agent-runtime tool.start',
      'llm-proxy call.end',
      'llm-proxy route.attempt',
    ])
      expect(told).toContain(each);
    expect(JSON.stringify(debug)).not.toContain('call save');
  } finally {
    await own.close();
  }
});
