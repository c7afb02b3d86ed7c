import { afterAll, beforeAll, expect, it } from 'vitest';
import { keys, type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({
    // As long as a message may be: none of it is to be compacted.
    variables: { AGENT_RUNTIME__LLM_MODEL: 'builtin/echo', AGENT_RUNTIME__CONTEXT_WINDOW: '10000000' },
  });
});
afterAll(() => stack.close());

// biome-ignore lint/suspicious/noExplicitAny: bodies are looked into by the tests
const call = async (method: string, path: string, body?: unknown): Promise<{ status: number; body: any }> => {
  const response = await fetch(`${stack.gateway.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${keys.gateway}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
};

it('sessions: create, repeat, clash, get, change, list in pages, delete', async () => {
  const made = await call('POST', '/sessions', { sessionId: 'rest-1', title: 'One', metadata: { a: '1', b: '2' } });
  expect(made).toMatchObject({
    status: 201,
    body: { replayed: false, session: { sessionId: 'rest-1', title: 'One', model: 'default', agent: 'orchestrator' } },
  });
  expect(new Date(made.body.session.createdAt).getTime()).toBeGreaterThan(0);
  expect(
    await call('POST', '/sessions', { sessionId: 'rest-1', metadata: { b: '2', a: '1' }, title: 'One' }),
  ).toMatchObject({ status: 201, body: { replayed: true } });
  expect(await call('POST', '/sessions', { sessionId: 'rest-1', title: 'Two' })).toMatchObject({
    status: 409,
    body: { error: { code: 'IDEMPOTENCY_MISMATCH' } },
  });
  expect(await call('PATCH', '/sessions/rest-1', { title: 'Renamed' })).toMatchObject({
    status: 200,
    body: { title: 'Renamed', metadata: { a: '1' } },
  });
  expect(await call('GET', '/sessions/rest-1')).toMatchObject({ status: 200, body: { title: 'Renamed' } });
  for (let number = 2; number <= 8; number++) await call('POST', '/sessions', { sessionId: `rest-${number}` });
  const seen: string[] = [];
  let cursor = '';
  do {
    const { body } = await call('GET', `/sessions?limit=3${cursor}`);
    seen.push(...body.sessions.map(({ sessionId }: { sessionId: string }) => sessionId));
    cursor = body.nextCursor === undefined ? '' : `&cursor=${body.nextCursor}`;
  } while (cursor !== '');
  expect(seen).toEqual([8, 7, 6, 5, 4, 3, 2, 1].map((number) => `rest-${number}`));
  for (let number = 1; number <= 8; number++)
    expect(await call('DELETE', `/sessions/rest-${number}`)).toMatchObject({ status: 200, body: { deleted: true } });
  expect(await call('DELETE', '/sessions/rest-1')).toMatchObject({ status: 200, body: { deleted: false } });
  expect(await call('GET', '/sessions/rest-1')).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } });
});

it('items come in pages, the newest first, each page oldest first, limited by bytes too', async () => {
  await call('POST', '/sessions', { sessionId: 'pages' });
  for (let number = 0; number < 5; number++)
    await call('POST', '/message', { session_id: 'pages', message: `m${number}` });
  const read = async (limit: number) => {
    const pages: string[][] = [];
    let cursor = '';
    do {
      const { body } = await call('GET', `/sessions/pages/items?limit=${limit}${cursor}`);
      pages.push(body.items.map(({ text }: { text: string }) => text));
      cursor = body.nextCursor === undefined ? '' : `&cursor=${body.nextCursor}`;
    } while (cursor !== '');
    return pages;
  };
  const all = [0, 1, 2, 3, 4].flatMap((number) => [`m${number}`, `You said: m${number}`]);
  expect((await read(4)).reverse().flat()).toEqual(all);
  expect(await read(200)).toEqual([all]);
  for (let number = 0; number < 3; number++)
    await call('POST', '/message', { session_id: 'pages', message: 'x'.repeat(400_000) });
  const large = await read(200);
  expect(large.length).toBeGreaterThan(3);
  expect(large.flat()).toHaveLength(16);
});

it('runs can be read, and a cancel without one to cancel says so', async () => {
  const { body } = await call('POST', '/message', { session_id: 'runs', message: 'go' });
  expect(await call('GET', `/sessions/runs/runs/${body.run_id}`)).toMatchObject({
    status: 200,
    body: { status: 'completed', runId: body.run_id },
  });
  expect(await call('GET', '/sessions/runs/runs/none')).toMatchObject({ status: 404 });
  expect(await call('POST', '/sessions/runs/cancel')).toMatchObject({
    status: 200,
    body: { status: 'already_finished' },
  });
});

it.each(['?limit=0', '?limit=201', '?limit=x', '?cursor=!!', '?cursor=%D0%B9'])(
  '/sessions%s is refused',
  async (query) => {
    expect(await call('GET', `/sessions${query}`)).toMatchObject({
      status: 400,
      body: { error: { code: 'VALIDATION' } },
    });
  },
);

it('models come with the default one first', async () => {
  expect((await call('GET', '/models')).body).toEqual({
    defaultModel: 'builtin/agent',
    models: [
      { id: 'builtin/agent', provider: 'builtin', name: 'agent' },
      { id: 'builtin/echo', provider: 'builtin', name: 'echo' },
    ],
  });
});

it.each([
  '/sessions?limit=1&limit=2',
  '/sessions?cursor=a&cursor=b',
  '/sessions/repeated/items?limit=1&limit=2',
  '/sessions/repeated/events?from=now&from=start',
])('a name that is repeated in a query is refused: %s', async (path) => {
  await call('POST', '/sessions', { sessionId: 'repeated' });
  expect(await call('GET', path)).toMatchObject({ status: 400, body: { error: { code: 'VALIDATION' } } });
});

it('a request without a body may say that it is JSON', async () => {
  await call('POST', '/sessions', { sessionId: 'bodiless' });
  const ask = async (method: string, path: string, type: string) => {
    const headers = { authorization: `Bearer ${keys.gateway}`, 'content-type': type };
    const response = await fetch(`${stack.gateway.url}/api/v1${path}`, { method, headers });
    return { status: response.status, body: await response.json() };
  };
  for (const type of ['application/json', 'application/json; charset=utf-8'])
    expect(await ask('POST', '/sessions/bodiless/cancel', type)).toMatchObject({
      status: 200,
      body: { status: 'already_finished' },
    });
  const made = { status: 201, body: { replayed: false } };
  expect(await ask('POST', '/sessions', 'application/json')).toMatchObject(made);
  expect(await ask('POST', '/sessions/bodiless/inputs', 'application/json')).toMatchObject({
    status: 400,
    body: { error: { code: 'VALIDATION' } },
  });
  expect(await ask('DELETE', '/sessions/bodiless', 'application/json')).toMatchObject({
    status: 200,
    body: { deleted: true },
  });
});

it('the events of a session without such an id are a 404, not a stream', async () => {
  expect(await call('GET', '/sessions/never-made/events')).toMatchObject({
    status: 404,
    body: { error: { code: 'NOT_FOUND' } },
  });
});

it('/openapi.json describes every route', async () => {
  // biome-ignore lint/suspicious/noExplicitAny: the test looks into it
  const document = (await (await fetch(`${stack.gateway.url}/openapi.json`)).json()) as any;
  expect(document.openapi).toBe('3.1.1');
  expect(Object.keys(document.paths)).toContain('/api/v1/sessions/{sessionId}/inputs');
  const send = document.paths['/api/v1/sessions/{sessionId}/inputs'].post;
  expect(send.parameters.map(({ name }: { name: string }) => name)).toEqual(['sessionId']);
  expect(send.requestBody.content['application/json'].schema.required).toEqual(['inputId', 'content']);
});
