import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createClient } from '../../packages/sdk/src/index.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

const message = JSON.stringify({
  session_id: 'auth',
  type: 'user_message',
  content: 'x',
  message: 'x',
  model: 'builtin/echo',
  messages: [{ role: 'user', content: 'x' }],
});
const inner = [
  { name: 'agent-runtime', path: '/agent/message/stream', service: () => stack.runtime, key: keys.runtime },
  {
    name: 'agent-runtime tRPC',
    path: '/trpc/session.list?input=%7B%22json%22%3A%7B%7D%7D',
    get: true,
    service: () => stack.runtime,
    key: keys.runtime,
  },
  { name: 'llm-proxy', path: '/v1/chat/completions', service: () => stack.llmProxy, key: keys.llmProxy },
  { name: 'llm-proxy models', path: '/v1/llm/models', get: true, service: () => stack.llmProxy, key: keys.llmProxy },
  {
    name: 'llm-proxy tRPC',
    path: '/trpc/model.list?input=%7B%22json%22%3A%7B%7D%7D',
    get: true,
    service: () => stack.llmProxy,
    key: keys.llmProxy,
  },
];

describe.each(inner)('$name', ({ path, get, service, key }) => {
  const ask = (headers: Record<string, string>) =>
    fetch(service().url + path, { method: get ? 'GET' : 'POST', headers, ...(get ? {} : { body: message }) });
  it.each([
    ['nothing', {}],
    ['a wrong key', { 'x-internal-auth': 'wrong' }],
    ["another service's key", { 'x-internal-auth': keys.gateway }],
    ['an empty key', { 'x-internal-auth': '' }],
    ['a wrong bearer', { authorization: 'Bearer wrong' }],
    ['basic auth', { authorization: `Basic ${keys.runtime}` }],
  ])('answers 401 to %s', async (_, headers) => {
    expect((await ask(headers)).status).toBe(401);
  });
  it('takes its key as X-Internal-Auth and as a bearer', async () => {
    for (const headers of [{ 'x-internal-auth': key }, { authorization: `Bearer ${key}` }] as Record<
      string,
      string
    >[]) {
      const response = await ask(headers);
      expect(response.status).toBe(200);
      await response.text();
    }
  });
});

describe.each(['', '{', 'x'.repeat(100_000), '{"a":'.repeat(600)])('a body of %#', (body) => {
  it.each([
    ['gateway', () => stack.gateway, 'POST', '/api/v1/message'],
    ['gateway', () => stack.gateway, 'POST', '/api/v1/sessions'],
    ['gateway', () => stack.gateway, 'PATCH', '/api/v1/sessions/s1'],
    ['gateway', () => stack.gateway, 'DELETE', '/api/v1/sessions/s1'],
    ['gateway', () => stack.gateway, 'POST', '/trpc/session.create'],
    ['agent-runtime', () => stack.runtime, 'POST', '/agent/message/stream'],
    ['agent-runtime', () => stack.runtime, 'POST', '/mcp'],
    ['agent-runtime', () => stack.runtime, 'POST', '/trpc/session.create'],
    ['llm-proxy', () => stack.llmProxy, 'POST', '/v1/chat/completions'],
    ['llm-proxy', () => stack.llmProxy, 'POST', '/v1/messages'],
    ['llm-proxy', () => stack.llmProxy, 'POST', '/v1/embeddings'],
    ['llm-proxy', () => stack.llmProxy, 'POST', '/trpc/completion.stream'],
  ])('is not looked at where the key is wrong: %s %#', async (_name, service, method, path) => {
    const headers = { 'content-type': 'application/json', authorization: 'Bearer wrong' };
    const response = await fetch(`${service().url}${path}`, { method, headers, body });
    expect(response.status).toBe(401);
    await response.text();
  });
});

it('/health is open on all three', async () => {
  for (const [service, name] of [
    [stack.gateway, 'gateway'],
    [stack.runtime, 'agent-runtime'],
    [stack.llmProxy, 'llm-proxy'],
  ] as const) {
    expect(await (await fetch(`${service.url}/health`)).json()).toEqual({
      status: 'healthy',
      service: name,
      version: '1.0.0',
    });
  }
});

describe('gateway on loopback', () => {
  const list = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      request(`${stack.gateway.url}/api/v1/sessions`, { headers }, (response) =>
        resolve(response.resume().statusCode ?? 0),
      )
        .on('error', reject)
        .end();
    });
  it.each([
    ['nothing', {}, 200],
    ['the key', { authorization: `Bearer ${keys.gateway}` }, 200],
    ['a wrong key', { 'x-internal-auth': 'wrong' }, 401],
    ['a VS Code webview', { origin: 'vscode-webview://0a1b2c' }, 200],
    ['a web page', { origin: 'https://evil.example' }, 403],
    ['a web page of this machine on another port', { origin: 'http://localhost:3000' }, 403],
    ['a sandboxed page', { origin: 'null' }, 403],
    ['a page that looks like a webview', { origin: 'https://vscode-webview.evil.example' }, 403],
    ['a web page that has the key', { origin: 'https://ide.example', 'x-internal-auth': keys.gateway }, 200],
    ['a name pointed at this machine (DNS rebinding)', { host: 'evil.example:8000' }, 403],
    ['such a name, as its own origin', { host: 'evil.example:8000', origin: 'http://evil.example:8000' }, 403],
  ])('%s: %j is answered with %i', async (_, headers, status) => {
    expect(await list(headers as Record<string, string>)).toBe(status);
  });

  const upgrade = (path: string, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const socket = new WebSocket(`${stack.gateway.url.replace('http', 'ws')}${path}`, { headers });
      socket.once('open', () => {
        socket.close();
        resolve(101);
      });
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      socket.once('error', reject);
    });
  it.each([
    ['/ws/session', {}, 101],
    [`/ws/session?token=${keys.gateway}`, { origin: 'https://ide.example' }, 101],
    ['/ws/session?token=wrong', {}, 401],
    ['/ws/session', { origin: 'https://evil.example' }, 403],
    ['/elsewhere', {}, 404],
  ])('upgrade of %s with %j: %i', async (path, headers, status) => {
    expect(await upgrade(path, headers as Record<string, string>)).toBe(status);
  });

  it('/trpc takes the token from connectionParams and from the URL, and refuses a wrong one for good', async () => {
    const wrong = createClient({ url: stack.gateway.url, token: 'wrong' });
    await expect(wrong.sessions.list()).rejects.toMatchObject({
      name: 'CodelabError',
      code: 'UNAUTHORIZED',
      retryable: false,
    });
    const session = { sessionId: 'auth-events' };
    await stack.client().sessions.create(session);
    const right = createClient({ url: stack.gateway.url, token: keys.gateway });
    expect((await right.sessions.get('auth-events')).id).toBe('auth-events');
    const events = wrong.sessions.get('auth-events');
    await expect(events).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    wrong.close();
    right.close();
  });
});

it('pages of allowed origins may read the answers, streams included; others may not', async () => {
  const ask = (origin: string, path: string, method = 'GET') =>
    fetch(`${stack.gateway.url}${path}`, { method, headers: { origin, 'x-internal-auth': keys.gateway } });
  await stack.client().sessions.create({ sessionId: 'cors' });
  for (const path of [
    '/api/v1/sessions',
    '/api/v1/sessions/cors/events',
    '/trpc/session.list?input=%7B%22json%22%3A%7B%7D%7D',
  ]) {
    const allowed = await ask('vscode-webview://abc', path);
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([200, 'vscode-webview://abc']);
    await allowed.body?.cancel();
    const other = await ask('https://evil.example', path);
    expect(other.headers.get('access-control-allow-origin')).toBeNull();
    await other.body?.cancel();
  }
  const preflight = await ask('vscode-webview://abc', '/api/v1/message', 'OPTIONS');
  expect([preflight.status, preflight.headers.get('access-control-allow-methods')]).toEqual([
    204,
    expect.stringContaining('POST'),
  ]);
});

it('an EventSource may bring its token in the URL', async () => {
  const exposed = await startStack({ variables: { GATEWAY__HOST: '0.0.0.0' } });
  const base = `http://127.0.0.1:${exposed.gateway.port}/api/v1/sessions`;
  await fetch(base, {
    method: 'POST',
    headers: { 'x-internal-auth': keys.gateway },
    body: '{"sessionId":"event-source"}',
  });
  expect((await fetch(`${base}/event-source/events`)).status).toBe(401);
  const events = await fetch(`${base}/event-source/events?token=${keys.gateway}`);
  expect(events.status).toBe(200);
  await events.body?.cancel();
  await exposed.close();
});

it('gateway beyond loopback refuses whoever has no token', async () => {
  const exposed = await startStack({ variables: { GATEWAY__HOST: '0.0.0.0' } });
  try {
    const url = `http://127.0.0.1:${exposed.gateway.port}/api/v1/sessions`;
    expect((await fetch(url)).status).toBe(401);
    expect((await fetch(url, { headers: { 'x-internal-auth': keys.gateway } })).status).toBe(200);
  } finally {
    await exposed.close();
  }
});
