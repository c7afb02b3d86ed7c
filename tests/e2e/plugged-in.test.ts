import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSse } from '../support/doors.ts';
import { rawDoors } from '../support/raw-doors.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

// Gateway as programs meet it that nobody here has written.

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ variables: { AGENT_RUNTIME__LLM_MODEL: 'builtin/echo' } });
});
afterAll(() => stack.close());

const ask = async (method: string, path: string, body?: object) => {
  const response = await fetch(`${stack.gateway.url}/api/v1${path}`, {
    method,
    headers: { 'x-internal-auth': keys.gateway },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: bodies are looked into by the tests
  return { status: response.status, body: (await response.json()) as any };
};

describe('a field that nothing is done with is refused by name', () => {
  const refused = (field: string) => ({
    code: 'VALIDATION',
    message: expect.stringContaining(`unknown field "${field}"`),
    details: [{ path: field, message: expect.any(String) }],
  });

  it.each([
    ['POST', '/sessions', { systemPrompt: 'x' }, 'systemPrompt'],
    ['PATCH', '/sessions/s1', { agent: 'ask' }, 'agent'],
    ['POST', '/sessions/s1/inputs', { inputId: 'i1', content: 'x', responseFormat: {} }, 'responseFormat'],
    ['POST', '/sessions/s1/calls/c1/result', { result: 1, decides: true }, 'decides'],
    ['GET', '/sessions?title=x', undefined, 'title'],
    ['GET', '/usage?sessionId=s1', undefined, 'sessionId'],
    ['GET', '/agents?search=x', undefined, 'search'],
    ['GET', '/sessions/s1/events?inputId=i1', undefined, 'inputId'],
  ])('%s %s', async (method, path, body, field) => {
    expect(await ask(method, path, body)).toMatchObject({ status: 400, body: { error: refused(field) } });
  });

  it.each(rawDoors)('over $name', async (door) => {
    const { error } = await door.call(stack, 'session.create', 'mutation', '{"sessionId":"s2","systemPrompt":"x"}');
    expect(error).toMatchObject(refused('systemPrompt'));
  });

  it('but not by agent-runtime, whose gateway may be of another version', async () => {
    const response = await fetch(`${stack.runtime.url}/trpc/session.create`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.runtime, 'content-type': 'application/json' },
      body: '{"json":{"sessionId":"newer","fieldOfTomorrow":1}}',
    });
    expect(await response.json()).toMatchObject({ result: { data: { json: { session: { sessionId: 'newer' } } } } });
  });

  it('nor by the older wires', async () => {
    const message = { session_id: 'older', message: 'hi', role: 'user', user_id: 7 };
    expect(await ask('POST', '/message', message)).toMatchObject({ status: 200, body: { message: 'You said: hi' } });
  });
});

describe('events', () => {
  const read = async (query: string, until: string) => {
    const response = await fetch(`${stack.gateway.url}/api/v1/sessions/watched/events?from=start&${query}`, {
      headers: { 'x-internal-auth': keys.gateway },
    });
    const seen = [];
    for await (const message of readSse(response)) {
      seen.push(message);
      if (JSON.parse(message.data).type === until) break;
    }
    return seen;
  };

  it('have no name where that is asked for, and are the same', async () => {
    await ask('POST', '/message', { session_id: 'watched', message: 'hi' });
    const sameIn = ({ data, id }: { data: string; id?: string }) => ({ ...JSON.parse(data), ts: 0, id });
    const [named, unnamed] = [await read('', 'stream.synced'), await read('events=unnamed', 'stream.synced')];
    expect(named.length).toBeGreaterThan(5);
    for (const { event, data } of named) expect(event).toBe(JSON.parse(data).type);
    for (const { event } of unnamed) expect(event).toBeUndefined();
    expect(unnamed.map(sameIn)).toEqual(named.map(sameIn));
  });

  it('have no other names', async () => {
    expect(await ask('GET', '/sessions/watched/events?events=some')).toMatchObject({
      status: 400,
      body: { error: { code: 'VALIDATION', message: expect.stringContaining('events must be named or unnamed') } },
    });
  });
});

const bearer = (key: string) => ({ search: '', headers: { authorization: `Bearer ${key}` } });

describe('documents', () => {
  it.each([
    ['gateway', () => stack.gateway, keys.gateway, '/api/v1/sessions'],
    ['agent-runtime', () => stack.runtime, keys.runtime, '/agent/message/stream'],
    ['llm-proxy', () => stack.llmProxy, keys.llmProxy, '/v1/chat/completions'],
  ])('%s has one of its routes, for who has its key', async (_name, service, key, path) => {
    const url = `${service().url}/openapi.json`;
    expect((await fetch(url, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
    const response = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(Object.keys(((await response.json()) as { paths: object }).paths)).toContain(path);
  });

  it.each([
    ['gateway', () => stack.gateway, '/openapi.json', () => ({ search: `?token=${keys.gateway}`, headers: {} })],
    ['agent-runtime', () => stack.runtime, '/agent/message/stream', () => bearer(keys.runtime)],
    ['llm-proxy', () => stack.llmProxy, '/v1/chat/completions', () => bearer(keys.llmProxy)],
  ])('/docs of %s is a page without scripts, that may load nothing', async (_name, service, path, shown) => {
    const url = `${service().url}/docs`;
    expect((await fetch(url, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
    const { search, headers } = shown();
    const response = await fetch(`${url}${search}`, { headers });
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    const page = await response.text();
    expect(page).toContain(`>${path}</code>`);
    expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|\son\w+=|\sstyle=/i);
    const [, style = ''] = /<style>(.*?)<\/style>/s.exec(page) ?? [];
    const hash = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(style))).toString('base64');
    expect(policy).toContain(`style-src 'sha256-${hash}'`);
  });

  it.each([
    ['agent-runtime', () => stack.runtime, keys.runtime],
    ['llm-proxy', () => stack.llmProxy, keys.llmProxy],
  ])('of %s have a browser ask for the key, whatever the name; nothing else of it does', async (name, service, key) => {
    const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` });
    const ask = (path: string, headers = {}) => fetch(`${service().url}${path}`, { headers });
    for (const path of ['/docs', '/openapi.json']) {
      for (const headers of [{}, basic('me:wrong'), basic(key), basic(':')]) {
        const refused = await ask(path, headers);
        expect(refused.status).toBe(401);
        expect(refused.headers.get('www-authenticate')).toContain(`Basic realm="${name}, whose key is the password"`);
      }
      for (const user of ['', 'me']) expect((await ask(path, basic(`${user}:${key}`))).status).toBe(200);
      expect((await ask(`${path}?token=${key}`)).status).toBe(401);
    }
    const metrics = await ask('/metrics', basic(`:${key}`));
    expect([metrics.status, metrics.headers.get('www-authenticate')]).toEqual([401, null]);
  });

  it('of gateway have none ask: a browser shows its token in the URL', async () => {
    const refused = await fetch(`${stack.gateway.url}/docs?token=wrong`);
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, null]);
  });
});
