import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createClient } from '../../packages/sdk/src/index.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
/** gateway where others can reach it: it wants a token from everybody. */
let exposed: Stack;
beforeAll(async () => {
  stack = await startStack();
  exposed = await startStack({ variables: { GATEWAY__HOST: '0.0.0.0' } });
});
afterAll(async () => {
  await stack.close();
  await exposed.close();
});

type Headers = Record<string, string>;

const services = [
  { name: 'gateway', key: keys.gateway, query: 'session.list', port: () => stack.gateway.port },
  { name: 'agent-runtime', key: keys.runtime, query: 'session.list', port: () => stack.runtime.port },
  { name: 'llm-proxy', key: keys.llmProxy, query: 'model.list', port: () => stack.llmProxy.port },
];
type Service = (typeof services)[0];

/** Opens a WebSocket, or resolves with the status that the upgrade is refused with. */
function open(port: number, path: string, headers: Headers = {}): Promise<WebSocket | number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
    socket.once('open', () => resolve(socket));
    socket.once('unexpected-response', (_request, response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    socket.once('error', reject);
  });
}

async function opened(port: number, path: string, headers: Headers = {}): Promise<WebSocket> {
  const socket = await open(port, path, headers);
  if (typeof socket === 'number') throw new Error(`refused with ${socket}`);
  return socket;
}

/** The code and the reason that a socket is closed with, as soon as it is. */
async function closed(socket: WebSocket): Promise<[number, string]> {
  const [code, reason] = await once(socket, 'close');
  return [code, String(reason)];
}

const call = (path: string, input: object = { json: {} }) =>
  JSON.stringify({ id: 1, method: 'query', params: { path, input } });

/** What a call over an open socket is answered with: `ok`, or the error's code. */
async function ask(socket: WebSocket, message: string): Promise<string> {
  const answered = once(socket, 'message');
  socket.send(message);
  const { id, error } = JSON.parse(String((await answered)[0]));
  expect(id).toBe(1);
  return error === undefined ? 'ok' : error.json.data.code;
}

async function upgradeAndAsk(port: number, path: string, headers: Headers, query: string): Promise<string | number> {
  const socket = await open(port, path, headers);
  if (typeof socket === 'number') return socket;
  const code = await ask(socket, call(query));
  socket.close();
  return code;
}

describe('a WebSocket at /trpc of gateway on loopback', () => {
  const own = () => `http://127.0.0.1:${stack.gateway.port}`;
  it.each<[string, string, () => Headers, string | number]>([
    ['a program of this machine', '/trpc', () => ({}), 'ok'],
    ['a page', '/trpc', () => ({ origin: 'https://evil.example' }), 403],
    ['a page that promises a token', '/trpc?connectionParams=1', () => ({ origin: 'https://evil.example' }), 403],
    ['a page with a wrong token', '/trpc?token=wrong', () => ({ origin: 'https://evil.example' }), 403],
    ['a sandboxed page', '/trpc', () => ({ origin: 'null' }), 403],
    ['another port of this machine', '/trpc', () => ({ origin: 'http://localhost:3000' }), 403],
    ['a name pointed at this machine', '/trpc', () => ({ host: 'evil.example' }), 403],
    [
      'such a name as its own origin',
      '/trpc?connectionParams=1',
      () => ({ host: 'evil.example:80', origin: 'http://evil.example:80' }),
      403,
    ],
    ['a page of its own', '/trpc', () => ({ origin: own() }), 'ok'],
    ['a webview of VS Code', '/trpc', () => ({ origin: 'vscode-webview://1a' }), 'ok'],
    ['a page with the token', `/trpc?token=${keys.gateway}`, () => ({ origin: 'https://ide.example' }), 'ok'],
    ['whatever name, with the token', '/trpc', () => ({ host: 'gw.example', 'x-internal-auth': keys.gateway }), 'ok'],
    ['a wrong token', '/trpc', () => ({ authorization: 'Bearer wrong' }), 'UNAUTHORIZED'],
    ['a wrong token in the URL', '/trpc?token=wrong', () => ({}), 'UNAUTHORIZED'],
  ])('%s: %s', async (_, path, headers, expected) => {
    expect(await upgradeAndAsk(stack.gateway.port, path, headers(), 'session.list')).toBe(expected);
  });
});

describe('a WebSocket at /trpc of gateway beyond loopback', () => {
  it.each<[string, string, Headers, string | number]>([
    ['nobody', '/trpc', {}, 'UNAUTHORIZED'],
    ['a page', '/trpc', { origin: 'https://evil.example' }, 403],
    ['a page that promises a token', '/trpc?connectionParams=1', { origin: 'https://evil.example' }, 403],
    ['a page with the token', `/trpc?token=${keys.gateway}`, { origin: 'https://ide.example' }, 'ok'],
    ['whatever name, with the token', '/trpc', { host: 'gateway', authorization: `Bearer ${keys.gateway}` }, 'ok'],
  ])('%s: %s', async (_, path, headers, expected) => {
    expect(await upgradeAndAsk(exposed.gateway.port, path, headers, 'session.list')).toBe(expected);
  });

  it('takes the token as the first message, from whatever name and from its own page behind a proxy', async () => {
    for (const headers of [
      { host: 'gateway:8000' },
      { host: 'gw.example', origin: 'https://gw.example' },
      { origin: 'vscode-webview://1a' },
    ] as Headers[]) {
      const socket = await opened(exposed.gateway.port, '/trpc?connectionParams=1', headers);
      socket.send(JSON.stringify({ method: 'connectionParams', data: { token: keys.gateway } }));
      expect(await ask(socket, call('session.list'))).toBe('ok');
      socket.close();
    }
  });
});

describe.each(services.slice(1))('a WebSocket at /trpc of $name', ({ key, query, port }) => {
  it.each<[string, string, Headers, string | number]>([
    ['nobody', '/trpc', {}, 'UNAUTHORIZED'],
    ['a page', '/trpc', { origin: 'https://evil.example' }, 403],
    ['a page of its own name', '/trpc', { host: 'a.example', origin: 'http://a.example' }, 403],
    ['a page that promises a token', '/trpc?connectionParams=1', { origin: 'vscode-webview://1a' }, 403],
    ["another service's key", '/trpc', { 'x-internal-auth': keys.gateway }, 'UNAUTHORIZED'],
    ['its key, whatever name', '/trpc', { 'x-internal-auth': key, host: 'runtime:8001' }, 'ok'],
    ['its key as a bearer', '/trpc', { authorization: `Bearer ${key}` }, 'ok'],
    ['its key in the URL', `/trpc?token=${key}`, {}, 'ok'],
    ['its key with an origin', '/trpc', { 'x-internal-auth': key, origin: 'https://ide.example' }, 'ok'],
  ])('%s: %s', async (_, path, headers, expected) => {
    expect(await upgradeAndAsk(port(), path, headers, query)).toBe(expected);
  });
});

describe.each(services)('before $name knows who calls', (service: Service) => {
  const { key, query, port } = service;
  const wrongly = async () => {
    const socket = await opened(port(), '/trpc?connectionParams=1');
    socket.send(JSON.stringify({ method: 'connectionParams', data: { token: 'wrong' } }));
    return socket;
  };

  it('a wrong token is answered, each call of it, then the socket is closed', async () => {
    const socket = await wrongly();
    const end = closed(socket);
    const answers: unknown[] = [];
    socket.on('message', (data) => answers.push(JSON.parse(String(data))));
    socket.send(`[${call(query)},${call(query).replace('"id":1', '"id":"two"')}]`);
    socket.send(call('no.such').replace('"id":1', '"id":3,"jsonrpc":"2.0"'));
    expect(await end).toEqual([1008, expect.stringMatching(/^UNAUTHORIZED: .*(wrong|key)/)]);
    expect(answers).toMatchObject([
      { id: 1, error: { json: { data: { code: 'UNAUTHORIZED' } } } },
      { id: 'two', error: { json: { data: { code: 'UNAUTHORIZED', retryable: false } } } },
      { id: 3, jsonrpc: '2.0', error: { json: { data: { code: 'UNAUTHORIZED' } } } },
    ]);
  });

  it('nothing is deserialised: what superjson would build is not even refused', async () => {
    const values = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [i, [['typed-array', 'Uint8Array']]]));
    const bomb = call(query, { json: Array.from({ length: 1000 }, () => 1e9), meta: { values, v: 1 } });
    const socket = await wrongly();
    expect(await ask(socket, bomb)).toBe('UNAUTHORIZED');
    const right = await opened(port(), '/trpc', { 'x-internal-auth': key });
    expect(await ask(right, bomb)).toBe('VALIDATION');
    expect(await ask(right, call(query))).toBe('ok');
    right.close();
  });

  it('an unfinished frame may have 64 KiB, and so may all frames together', async () => {
    for (const isWrong of [true, false]) {
      const socket = isWrong ? await wrongly() : await opened(port(), '/trpc?connectionParams=1');
      const end = closed(socket);
      // A message of 20 MiB, of which the end never comes.
      for (let i = 0; i < 320 && socket.readyState === socket.OPEN; i++)
        socket.send(Buffer.alloc(64 * 1024, '['), { fin: false, binary: false });
      expect(await end).toEqual([1008, expect.stringContaining('64 KiB')]);
    }
  });

  it('one byte after the other ends the socket as well', async () => {
    const socket = await wrongly();
    const end = closed(socket);
    for (let i = 0; i < 50_000 && socket.readyState === socket.OPEN; i++) {
      socket.send('1');
      if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await end)[0]).toBe(1008);
  });

  it.concurrent('it has 5 s to show a token', async () => {
    const sockets = await Promise.all([
      opened(port(), '/trpc?connectionParams=1'),
      wrongly(),
      opened(port(), '/trpc?token=wrong'),
    ]);
    for (const [code, reason] of await Promise.all(sockets.map(closed))) {
      expect(code).toBe(1008);
      expect(reason).toContain('No token came within 5 s');
    }
  });
});

it('a wrong token never passes, not even where none is needed', async () => {
  const wrong = createClient({ url: stack.gateway.url, token: 'wrong' });
  await expect(wrong.sessions.list()).rejects.toMatchObject({ code: 'UNAUTHORIZED', retryable: false });
  wrong.close();
  const none = createClient({ url: exposed.gateway.url.replace('0.0.0.0', '127.0.0.1') });
  await expect(none.sessions.list()).rejects.toMatchObject({ code: 'UNAUTHORIZED', retryable: false });
  none.close();
});

describe('a token that is wrong in an odd shape passes no more', () => {
  const params = (json: string) => `connectionParams=${encodeURIComponent(json)}`;
  it.each([
    '/api/v1/agents?token=a&token=b',
    '/api/v1/agents?token=',
    `/%74rpc/agent.list?${params('{"token":"wrong"}')}`,
    `/trpc/agent.list?${params('{"token":5}')}`,
    `/trpc/agent.list?${params('{"token":["wrong"]}')}`,
    `/trpc/agent.list?${params('"wrong"')}`,
    `/trpc/agent.list?${params('{}')}&${params('{"token":"wrong"}')}`,
  ])('over HTTP: %s', async (path) => {
    expect((await fetch(`${stack.gateway.url}${path}`)).status).toBe(401);
  });
  it.each([[{ token: 5 }], [{ token: ['wrong'] }], ['wrong'], [['wrong']]])('over WebSocket: %j', async (data) => {
    const socket = await opened(stack.gateway.port, '/trpc?connectionParams=1');
    socket.send(JSON.stringify({ method: 'connectionParams', data }));
    expect(await ask(socket, call('agent.list'))).toBe('UNAUTHORIZED');
    socket.close();
  });
  it('in the URL of a WebSocket, twice', async () => {
    const path = `?token=${keys.gateway}&token=wrong`;
    expect(await open(stack.gateway.port, `/ws/session${path}`)).toBe(401);
    expect(await upgradeAndAsk(stack.gateway.port, `/trpc${path}`, {}, 'agent.list')).toBe('UNAUTHORIZED');
  });
});

const posts = [
  { name: 'gateway', path: '/api/v1/message', port: () => exposed.gateway.port, key: keys.gateway },
  { name: 'gateway', path: '/api/v1/sessions', port: () => exposed.gateway.port, key: keys.gateway },
  { name: 'gateway', path: '/trpc/session.create', port: () => exposed.gateway.port, key: keys.gateway },
  { name: 'agent-runtime', path: '/agent/message/stream', port: () => exposed.runtime.port, key: keys.runtime },
  { name: 'agent-runtime', path: '/mcp', port: () => exposed.runtime.port, key: keys.runtime },
  { name: 'agent-runtime', path: '/trpc/session.create', port: () => exposed.runtime.port, key: keys.runtime },
  { name: 'llm-proxy', path: '/v1/chat/completions', port: () => exposed.llmProxy.port, key: keys.llmProxy },
  { name: 'llm-proxy', path: '/v1/messages', port: () => exposed.llmProxy.port, key: keys.llmProxy },
  { name: 'llm-proxy', path: '/trpc/completion.stream', port: () => exposed.llmProxy.port, key: keys.llmProxy },
];

/** A request whose body never comes, and how it is answered. */
function withoutBody(port: number, path: string, headers: Headers): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': '1000', ...headers },
    });
    sent.on('response', resolve);
    sent.on('error', reject);
    sent.flushHeaders();
  });
}

describe.concurrent.each(posts)('$name $path', ({ path, port, key }) => {
  it('the key is looked at before the body: broken, endless or absent', async () => {
    const broken = await fetch(`http://127.0.0.1:${port()}${path}`, {
      method: 'POST',
      headers: { 'x-internal-auth': 'wrong' },
      body: '{"a":',
    });
    expect(broken.status).toBe(401);
    const endless = [{ 'x-internal-auth': 'wrong' }, {}].map(async (headers) => {
      const answer = await withoutBody(port(), path, headers as Headers);
      expect(answer.statusCode).toBe(401);
      answer.resume();
      // The caller may send for ever; the socket is not kept for it.
      await once(answer.socket, 'close');
    });
    await Promise.all(endless);
  });

  it('with the right key the body is what is wrong', async () => {
    const broken = await fetch(`http://127.0.0.1:${port()}${path}`, {
      method: 'POST',
      headers: { 'x-internal-auth': key, accept: 'application/json, text/event-stream' },
      body: '{"a":',
    });
    expect(broken.status).toBeGreaterThanOrEqual(400);
    expect(broken.status).not.toBe(401);
  });
});

it.concurrent('a route that there is none of reads no body either', async () => {
  const answer = await withoutBody(exposed.gateway.port, '/no/such/route', {});
  expect(answer.statusCode).toBe(404);
  answer.resume();
  await once(answer.socket, 'close');
});

it.concurrent('a head that does not end is given up', { timeout: 60_000 }, async () => {
  const sockets = services.map(({ port }) => connect(port(), '127.0.0.1'));
  for (const socket of sockets) socket.write('GET /health HTTP/1.1\r\nHost: local');
  const answers = await Promise.all(
    sockets.map(async (socket) => {
      const parts: Buffer[] = [];
      for await (const part of socket) parts.push(part as Buffer);
      return Buffer.concat(parts).toString();
    }),
  );
  for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 408/);
});

describe.concurrent('guessing keys', () => {
  it.each(services)(
    'at $name is limited, says until when, and locks nobody out who has the key',
    async ({ name, key }) => {
      const own = await startStack({ logs: true, variables: { GATEWAY__HOST: '0.0.0.0' } });
      try {
        const { port } = { gateway: own.gateway, 'agent-runtime': own.runtime, 'llm-proxy': own.llmProxy }[
          name
        ] as Stack['gateway'];
        const guess = (given: string) =>
          fetch(`http://127.0.0.1:${port}/metrics`, { headers: { 'x-internal-auth': given } });
        const statuses = await Promise.all(
          Array.from({ length: 140 }, async (_, i) => {
            const answer = await guess(`wrong-${i}`);
            await answer.text();
            return answer.status;
          }),
        );
        expect(new Set(statuses)).toEqual(new Set([401, 429]));
        expect(statuses.filter((status) => status === 401).length).toBeGreaterThanOrEqual(100);
        const over = await guess('wrong');
        expect(over.status).toBe(429);
        expect(own.logs.filter(({ event }) => event === 'keys.guessed')).toHaveLength(1);
        expect(own.logs.some(({ code }) => code === 'RATE_LIMITED')).toBe(false);
        expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
        expect(await over.json()).toMatchObject({
          error: { code: 'RATE_LIMITED', retryable: true, retryAfterMs: expect.any(Number) },
        });
        // Over WebSocket it is the same count.
        const query = name === 'llm-proxy' ? 'model.list' : 'session.list';
        expect(await upgradeAndAsk(port, '/trpc?token=wrong', {}, query)).toBe('RATE_LIMITED');
        if (name === 'gateway') expect(await open(port, '/ws/session?token=wrong')).toBe(429);
        expect((await guess(key)).status).toBe(200);
        expect(await upgradeAndAsk(port, '/trpc', { 'x-internal-auth': key }, query)).toBe('ok');
      } finally {
        await own.close();
      }
    },
  );
});

describe('pages that send no Origin', () => {
  const paths = ['/api/v1/sessions', '/api/v1/agents', '/metrics', '/openapi.json', '/trpc/session.list'];
  const get = (path: string, headers: Headers) =>
    new Promise<number>((resolve, reject) => {
      request(`${stack.gateway.url}${path}`, { headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });
  it.each(paths)('%s is not for an image or a link of another page', async (path) => {
    for (const site of ['cross-site', 'same-site']) expect(await get(path, { 'sec-fetch-site': site })).toBe(403);
    for (const site of ['none', 'same-origin']) expect(await get(path, { 'sec-fetch-site': site })).not.toBe(403);
    expect(await get(path, { 'sec-fetch-site': 'cross-site', 'x-internal-auth': keys.gateway })).not.toBe(403);
    expect(await get(path, { 'sec-fetch-site': 'cross-site', origin: 'vscode-webview://1a' })).not.toBe(403);
  });
  it('/health is for everybody', async () => {
    expect(await get('/health', { 'sec-fetch-site': 'cross-site' })).toBe(200);
  });
});

it('everything but /health wants the key, /openapi.json too', async () => {
  const base = `http://127.0.0.1:${exposed.gateway.port}`;
  const list = `/trpc/session.list?input=${encodeURIComponent('{"json":{}}')}`;
  const params = encodeURIComponent(JSON.stringify({ token: keys.gateway }));
  expect((await fetch(`${base}${list}&connectionParams=${params}`)).status).toBe(200);
  expect((await fetch(`${base}${list}&connectionParams=${params.replace('key', 'yek')}`)).status).toBe(401);
  for (const path of ['/openapi.json', '/metrics', '/api/v1/models', list]) {
    const sign = path.includes('?') ? '&' : '?';
    expect([path, (await fetch(base + path)).status]).toEqual([path, 401]);
    expect([path, (await fetch(`${base}${path}${sign}token=${keys.gateway}`)).status]).toEqual([path, 200]);
  }
  expect((await fetch(`${base}/health`)).status).toBe(200);
});

it('no answer may be taken for another type than it says', async () => {
  await stack.client().sessions.create({ sessionId: 'sniffed' });
  for (const path of [
    '/health',
    '/no/such/route',
    '/api/v1/sessions',
    '/trpc/session.list',
    '/metrics',
    '/api/v1/sessions/sniffed/events',
  ]) {
    const answer = await fetch(`${stack.gateway.url}${path}`);
    expect([path, answer.headers.get('x-content-type-options')]).toEqual([path, 'nosniff']);
    await answer.body?.cancel();
  }
});
