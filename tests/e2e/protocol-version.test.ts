import { once } from 'node:events';
import { createTRPCClient, createWSClient, wsLink } from '@trpc/client';
import superjson from 'superjson';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { GatewayRouter } from '../../packages/gateway/src/router.ts';
import { createClient } from '../../packages/sdk/src/index.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

const NEWEST = 1;
let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${stack.gateway.url}${path}`, { headers: { ...headers } });

describe('every answer names the version of the protocol', () => {
  it.each([
    ['/health', 200],
    ['/api/v1/sessions', 200],
    ['/nothing-here', 404],
    ['/trpc/session.list?input=%7B%22json%22%3A%7B%7D%7D', 200],
  ])('%s', async (path, status) => {
    const response = await get(path);
    expect(response.status).toBe(status);
    expect(response.headers.get('codelab-protocol-version')).toBe(String(NEWEST));
  });

  it('the upgrade of a WebSocket', async () => {
    const socket = new WebSocket(`${stack.gateway.url.replace('http', 'ws')}/ws/versions`);
    const [response] = await once(socket, 'upgrade');
    expect(response.headers['codelab-protocol-version']).toBe(String(NEWEST));
    socket.close();
  });

  it('the description of the routes', async () => {
    expect(await (await get('/openapi.json')).json()).toMatchObject({ info: { 'x-protocol-version': NEWEST } });
  });
});

describe('a caller that names the version', () => {
  it.each([
    ['by a header', '/api/v1/sessions', { 'codelab-protocol-version': String(NEWEST) }],
    ['in the URL', `/api/v1/sessions?protocolVersion=${NEWEST}`, {}],
  ])('%s is served', async (_how, path, headers) => {
    expect((await get(path, headers as Record<string, string>)).status).toBe(200);
  });

  it.each([
    ['newer', '2', 'update the service'],
    ['older', '0', 'update the client'],
    ['no number', 'one', 'must be one whole number'],
    ['no version', '', 'must be one whole number'],
  ])('which is %s is told what is served', async (_what, version, advice) => {
    for (const response of [
      await get('/api/v1/sessions', { 'codelab-protocol-version': version }),
      await get(`/api/v1/sessions?protocolVersion=${version}`),
      await get(`/api/v1/sessions/none/events?protocolVersion=${version}`),
    ]) {
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: { code: string; message: string; details: unknown } };
      expect(error).toMatchObject({
        code: 'PROTOCOL_VERSION_UNSUPPORTED',
        details: { oldest: NEWEST, newest: NEWEST },
      });
      expect(error.message).toContain(advice);
    }
  });

  it('and has no key is told that it needs a key', async () => {
    const response = await fetch(`${stack.runtime.url}/trpc/session.list`, {
      headers: { 'codelab-protocol-version': '2' },
    });
    expect(response.status).toBe(401);
  });

  it('is refused by an inner service too', async () => {
    const response = await fetch(`${stack.runtime.url}/trpc/session.list`, {
      headers: { 'codelab-protocol-version': '2', 'x-internal-auth': keys.runtime },
    });
    expect(response.status).toBe(400);
  });

  it('on the older WebSocket is refused at its upgrade', async () => {
    const socket = new WebSocket(`${stack.gateway.url.replace('http', 'ws')}/ws/versions?protocolVersion=9`);
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(400);
    socket.on('error', () => {});
    socket.terminate();
  });

  it("with tRPC's stock client has each call and subscription refused, and is not left to try for ever", async () => {
    const client = createWSClient({
      url: `${stack.gateway.url.replace('http', 'ws')}/trpc?protocolVersion=2`,
      WebSocket: WebSocket as never,
    });
    const trpc = createTRPCClient<GatewayRouter>({ links: [wsLink({ client, transformer: superjson })] });
    const code = (error: unknown) => (error as { data?: { code?: string } }).data?.code;
    await expect(trpc.session.list.query({})).rejects.toSatisfy(
      (error) => code(error) === 'PROTOCOL_VERSION_UNSUPPORTED',
    );
    const failed = await new Promise((resolve) =>
      trpc.session.events.subscribe({ sessionId: 'versions' }, { onError: resolve }),
    );
    expect(code(failed)).toBe('PROTOCOL_VERSION_UNSUPPORTED');
    await client.close();
  });
});

it("tRPC's stock client, which names none, is served", async () => {
  const client = createWSClient({
    url: `${stack.gateway.url.replace('http', 'ws')}/trpc`,
    WebSocket: WebSocket as never,
  });
  const trpc = createTRPCClient<GatewayRouter>({ links: [wsLink({ client, transformer: superjson })] });
  expect((await trpc.session.list.query({})).sessions).toEqual([]);
  await client.close();
});

it('the SDK names its version', async () => {
  const server = new WebSocketServer({ port: 0 });
  const asked = once(server, 'connection');
  const client = createClient({ url: `http://127.0.0.1:${(server.address() as { port: number }).port}` });
  const call = client.sessions.list().catch(() => {});
  const [, request] = await asked;
  expect(new URL(request.url, 'http://x').searchParams.get('protocolVersion')).toBe(String(NEWEST));
  client.close();
  await call;
  for (const socket of server.clients) socket.terminate();
  server.close();
});
