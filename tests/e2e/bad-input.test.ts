import { on } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { keys, type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

const invalidUtf8 = Buffer.concat([
  Buffer.from('{"session_id":"bad-utf8","type":"user_message","message":"'),
  Buffer.of(0xff, 0xfe),
  Buffer.from('"}'),
]);
const tooLarge = Buffer.alloc(10 * 1024 * 1024, 'x');

/** Sends bytes over a plain socket, so that nothing is mended on the way. */
function post(
  url: string,
  headers: Record<string, string>,
  body: Buffer,
): Promise<{ status: number; body: { error: { code: string; message: string } } }> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      { method: 'POST', headers: { ...headers, 'content-type': 'application/json', 'content-length': body.length } },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString()) }),
        );
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

const httpDoors = [
  { name: 'gateway /api/v1/message', url: () => `${stack.gateway.url}/api/v1/message`, key: keys.gateway },
  { name: 'gateway /api/v1/sessions', url: () => `${stack.gateway.url}/api/v1/sessions`, key: keys.gateway },
  { name: 'gateway /trpc', url: () => `${stack.gateway.url}/trpc/input.send`, key: keys.gateway },
  {
    name: 'agent-runtime /agent/message/stream',
    url: () => `${stack.runtime.url}/agent/message/stream`,
    key: keys.runtime,
  },
  {
    name: 'llm-proxy /v1/chat/completions',
    url: () => `${stack.llmProxy.url}/v1/chat/completions`,
    key: keys.llmProxy,
  },
];

const codeIn = (body: unknown): unknown => {
  const { error } = body as { error: { code?: unknown; json?: { data: { code: string } } } };
  return error.json?.data.code ?? error.code;
};

describe.each(httpDoors)('$name', ({ name, url, key }) => {
  const isOpenAi = name.includes('llm-proxy');
  // OpenAI's wire has its own names.
  const validation = isOpenAi ? null : 'VALIDATION';

  it.each([
    ['not JSON', Buffer.from('{"session_id": "demo",')],
    ['an empty body', Buffer.from('')],
    ['not an object', Buffer.from('[1,2]')],
    ['a number', Buffer.from('7')],
    ['null', Buffer.from('null')],
    ['wrong types', Buffer.from('{"session_id":7,"sessionId":7,"content":{},"message":[],"messages":"x","model":9}')],
    ['invalid UTF-8', invalidUtf8],
  ])('tells %s by its status, and lives on', async (_, body) => {
    const answer = await post(url(), { 'x-internal-auth': key }, body);
    // All that it takes may be left out: then no body is one.
    const isTaken = body.length === 0 && name.endsWith('/sessions');
    expect(answer.status).toBe(isTaken ? 201 : 400);
    if (!isTaken) expect(codeIn(answer.body)).toBe(validation);
    expect((await fetch(new URL('/health', url()))).status).toBe(200);
  });

  it('answers 413 to a body of 10 MB', async () => {
    const answer = await post(url(), { 'x-internal-auth': key }, tooLarge);
    expect(answer.status).toBe(413);
    expect(codeIn(answer.body)).toBe(isOpenAi ? 'payload_too_large' : 'PAYLOAD_TOO_LARGE');
  });

  it('says which fields are missing', async () => {
    if (name.endsWith('sessions')) return;
    const body = name.endsWith('/trpc') ? '{"json":{}}' : '{}';
    const answer = await post(url(), { 'x-internal-auth': key }, Buffer.from(body));
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).toMatch(/session_id|sessionId|messages/);
  });
});

it('an unknown route has an error of the catalogue, on every service', async () => {
  for (const { url } of [stack.gateway, stack.runtime, stack.llmProxy]) {
    const response = await fetch(`${url}/no/such/route`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      error: { code: 'NOT_FOUND', retryable: false, requestId: expect.stringMatching(/^req_/) },
    });
  }
});

it('a URL that is none has an error of the catalogue, on every service', async () => {
  for (const { url } of [stack.gateway, stack.runtime, stack.llmProxy]) {
    const response = await fetch(`${url}/%ZZ`);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { code: string; requestId: string } };
    expect(error).toMatchObject({ code: 'VALIDATION', retryable: false });
    expect(response.headers.get('x-request-id')).toBe(error.requestId);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  }
});

it('what is not HTTP does not hurt', async () => {
  for (const { url, port } of [stack.gateway, stack.runtime, stack.llmProxy]) {
    const socket = connect(port, '127.0.0.1');
    socket.end('\x00\x01 not http at all\r\n\r\n');
    const answer: Buffer[] = [];
    for await (const part of socket) answer.push(part as Buffer);
    expect(Buffer.concat(answer).toString()).toMatch(/^HTTP\/1.1 400/);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  }
});

describe('a WebSocket', () => {
  const open = async (path: string) => {
    const socket = new WebSocket(`${stack.gateway.url.replace('http', 'ws')}${path}`, {
      headers: { 'x-internal-auth': keys.gateway },
    });
    const messages = on(socket, 'message');
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return { socket, next: async () => JSON.parse(String((await messages.next()).value[0])) };
  };
  const bad: Array<[string, (socket: WebSocket) => void, string]> = [
    ['not JSON', (socket) => socket.send('{"type":'), 'VALIDATION'],
    ['not an object', (socket) => socket.send('"hello"'), 'VALIDATION'],
    ['an unknown frame type', (socket) => socket.send('{"type":"no_such_frame","content":"x"}'), 'VALIDATION'],
    ['a missing field', (socket) => socket.send('{"type":"user_message"}'), 'VALIDATION'],
    ['empty content', (socket) => socket.send('{"type":"user_message","content":""}'), 'VALIDATION'],
    ['a binary frame', (socket) => socket.send(Buffer.from('{"type":"user_message","content":"x"}')), 'VALIDATION'],
    ['invalid UTF-8', (socket) => socket.send(invalidUtf8, { binary: false }), 'VALIDATION'],
    ['10 MB', (socket) => socket.send(tooLarge, { binary: false }), 'PAYLOAD_TOO_LARGE'],
  ];

  it('/ws/{session_id} answers each bad frame with an error frame, and lives on', async () => {
    const { socket, next } = await open('/ws/bad-frames');
    for (const [what, send, code] of bad) {
      send(socket);
      expect([what, await next()]).toEqual([
        what,
        expect.objectContaining({
          type: 'error',
          content: expect.any(String),
          code,
          retryable: false,
          requestId: expect.any(String),
        }),
      ]);
    }
    socket.send(JSON.stringify({ type: 'user_message', content: 'still there?', message_id: 'м 1' }));
    expect(await next()).toEqual({ status: 'received', message_id: 'м 1' });
    expect(await next()).toMatchObject({
      type: 'assistant_message',
      token: expect.stringMatching(/^You/),
      is_final: false,
    });
    socket.close();
  });

  it.each(['x', 'x'.repeat(1000), 'a%20b', '%ff'])(
    '/ws/%s: the id gets an error frame, each message too, and the connection stays',
    async (id) => {
      const { socket, next } = await open(`/ws/${id}`);
      expect(await next()).toMatchObject({ type: 'error', code: 'VALIDATION' });
      socket.send('{"type":"user_message","content":"x"}');
      expect(await next()).toMatchObject({ type: 'error', code: 'VALIDATION' });
      expect(socket.readyState).toBe(socket.OPEN);
      socket.close();
    },
  );

  it('a message_id repeated on the connection is acknowledged again, and asked once', async () => {
    const { socket, next } = await open('/ws/repeated');
    const frame = JSON.stringify({ type: 'user_message', content: 'once', message_id: '1' });
    socket.send(frame);
    socket.send(frame);
    const frames = [];
    for (let received = 0, ends = 0; received < 2 || ends < 1; ) {
      const got = await next();
      frames.push(got);
      if (got.status === 'received') received++;
      if (got.is_final) ends++;
    }
    socket.close();
    const items = await (
      await fetch(`${stack.gateway.url}/api/v1/sessions/repeated/items`, {
        headers: { 'x-internal-auth': keys.gateway },
      })
    ).json();
    expect((items as { items: unknown[] }).items).toHaveLength(2);
  });

  it('/trpc answers each bad frame with an error, and lives on', async () => {
    const { socket, next } = await open('/trpc');
    for (const [what, send, code] of bad) {
      send(socket);
      const answer = await next();
      expect([what, answer.error.json.data.code]).toEqual([what, code === 'PAYLOAD_TOO_LARGE' ? code : 'VALIDATION']);
      expect(answer.error.json.code).not.toBe(-32603);
    }
    const call = (id: number, path: string, input: unknown) =>
      socket.send(JSON.stringify({ id, method: 'query', params: { path, input: { json: input } } }));
    call(1, 'session.get', { sessionId: 'x' });
    expect((await next()).error.json.data).toMatchObject({ code: 'VALIDATION', retryable: false });
    call(2, 'no.such.procedure', {});
    expect((await next()).error.json.data.code).toBe('NOT_FOUND');
    call(3, 'session.get', { sessionId: 'never-made' });
    expect((await next()).error.json).toMatchObject({
      code: -32004,
      data: { code: 'NOT_FOUND', requestId: expect.any(String) },
    });
    call(4, 'session.list', {});
    expect((await next()).result.data.json.sessions).toBeInstanceOf(Array);
    socket.close();
  });
});
