import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Session } from '../../packages/sdk/src/index.ts';
import { changeDatabase } from '../support/database.ts';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { rawDoors } from '../support/raw-doors.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let provider: FakeProvider;
let stack: Stack;
beforeEach(async () => {
  provider = await startFakeProvider(async (call) => {
    await call.text('An answer.');
    await call.finish();
  });
  stack = await startStack({ providerUrl: provider.url, logs: true });
});
afterEach(async () => {
  await stack.close();
  await provider.close();
});

const change = (...statements: string[]) =>
  stack.restartRuntime(async () => {
    for (const statement of statements) await changeDatabase(stack.databaseUrl, statement);
  });
const complaints = (sessionId: string) =>
  stack.logs.filter((line) => line.level === 'error' && line.sessionId === sessionId);
const BROKEN = ['{"sessionId":"bro', 'null', '[]', '"text"', '', '{"createdAt":"never","updatedAt":7}'];

describe('one unreadable row hides no other', () => {
  it.each(BROKEN)('of sessions: %j', async (broken) => {
    const client = stack.client();
    for (const sessionId of ['first', 'broken', 'last']) await client.sessions.create({ sessionId, title: sessionId });
    await (await client.sessions.get('broken')).send('Hello').finished();
    await change(`update sessions set data = '${broken}' where session_id = 'broken'`);
    for (const door of rawDoors) {
      const { result } = await door.call(stack, 'session.list', 'query', '{"limit":2}');
      expect(result.sessions.map(({ sessionId }: { sessionId: string }) => sessionId)).toEqual(['broken', 'last']);
      expect(result.sessions[0]).toMatchObject({ title: expect.stringContaining('cannot be read') });
      expect(result.nextCursor).toBeDefined();
    }
    expect((await client.sessions.list()).sessions).toHaveLength(3);
    expect(complaints('broken')[0]).toMatchObject({ table: 'sessions', err: { message: expect.any(String) } });
    // What was said in it is there, and it can be deleted.
    const session = await client.sessions.get('broken');
    expect((await session.items()).items).toHaveLength(2);
    await client.sessions.delete('broken');
    expect((await client.sessions.list()).sessions.map(({ sessionId }) => sessionId)).toEqual(['last', 'first']);
  });

  it.each(BROKEN)('of items: %j', async (broken) => {
    const client = stack.client();
    const session = await client.sessions.create({ sessionId: 'history' });
    await session.send('one').finished();
    await session.send('two').finished();
    const before = (await session.items()).items;
    expect(before.map(({ text }) => text)).toEqual(['one', 'An answer.', 'two', 'An answer.']);
    const lost = before[1]?.itemId;
    await change(
      `update items set data = '${broken}', hidden = '{"view":' where item_id = '${lost}'`,
      `update items set hidden = 'x' where item_id = '${before[2]?.itemId}'`,
    );
    for (const door of rawDoors) {
      const { result } = await door.call(stack, 'session.items', 'query', '{"sessionId":"history"}');
      expect(result.items.map(({ text }: { text: string }) => text)).toEqual([
        'one',
        expect.stringContaining('cannot be read'),
        'two',
        'An answer.',
      ]);
      expect(result.items[1]).toMatchObject({ itemId: lost, kind: 'notice', status: 'completed' });
    }
    expect(complaints('history')[0]).toMatchObject({ table: 'items', id: lost, err: { message: expect.any(String) } });
    // The conversation goes on.
    const again = await client.sessions.get('history');
    expect(await again.send('three').finished()).toMatchObject({ status: 'completed', text: 'An answer.' });
    const said = provider.calls.at(-1)?.body.messages.map(({ content }: { content: string }) => content);
    expect(said).toEqual(expect.arrayContaining(['one', 'two', 'three']));
  });

  it('of inputs, runs, tools, approvals and results: the session is there, and takes messages', async () => {
    const client = stack.client();
    const session = await client.sessions.create({ sessionId: 'all' });
    const run = session.send('one', { inputId: 'first' });
    const { runId } = await run.finished();
    await change(
      `update inputs set data = '{' where session_id = 'all'`,
      `update runs set data = '{', status = 'running' where session_id = 'all'`,
      `update sessions set tools = '{' where session_id = 'all'`,
      `insert into approvals (session_id, call_id, pending, data) values ('all', 'call', 1, '{')`,
      `insert into results (session_id, result_id, data) values ('all', 'result', '{')`,
      `insert into inputs select 'all', 'waiting', 1, 'queued', null, 'x', 'req', '', '{' from inputs where input_id = 'first'`,
    );
    const again = await client.sessions.get('all');
    expect((await again.items()).items).toHaveLength(2);
    expect(await again.send('two').finished()).toMatchObject({ status: 'completed' });
    for (const door of rawDoors) {
      const approvals = await door.call(stack, 'approval.list', 'query', '{"sessionId":"all"}');
      expect(approvals.result).toEqual({ approvals: [] });
      const tools = await door.call(stack, 'tool.list', 'query', '{"sessionId":"all"}');
      expect(tools.result.tools.every(({ target }: { target: string }) => target === 'server')).toBe(true);
    }
    const [trpc] = rawDoors as [(typeof rawDoors)[0]];
    const broken = await trpc.call(stack, 'run.get', 'query', `{"sessionId":"all","runId":"${runId}"}`);
    expect(broken.error).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('cannot be read') });
    const tables = new Set(complaints('all').map(({ table }) => table));
    expect([...tables].sort()).toEqual(['inputs', 'runs', 'sessions']);
  });

  it('of rules: nobody knows what it denied, so nothing is done unasked until it is deleted', async () => {
    const client = stack.client();
    const session = await client.sessions.create({ sessionId: 'rules' });
    await session.rules.add({ tool: '*', resource: '**', effect: 'allow' });
    const kept = await session.rules.add({ tool: 'odd', resource: 'secret', effect: 'deny' });
    await change(`update rules set data = '{' where rule_id = '${kept.ruleId}'`);
    const again = await client.sessions.get('rules');
    const rules = await again.rules.list();
    expect(rules.find(({ ruleId }) => ruleId === kept.ruleId)).toMatchObject({
      tool: '*',
      resource: '**',
      effect: 'deny',
    });
    expect(complaints('rules')[0]).toMatchObject({ table: 'rules', id: kept.ruleId });
    await again.rules.delete(kept.ruleId);
    expect(await again.rules.list()).toHaveLength(1);
  });
});

/** Every way to meet a bug of ours: the histories' table is gone. Each resolves with the request id that its caller was told. */
const headers = { 'x-internal-auth': keys.gateway };
const bodyOf = async (response: Response): Promise<string> => {
  const text = await response.text();
  expect(text).toContain('INTERNAL');
  return /"requestId":"([^"]+)"/.exec(text)?.[1] ?? `none in ${text}`;
};
const subscribed = (url: string, key: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/trpc`, { headers: { 'x-internal-auth': key } });
    const input = '{"json":{"sessionId":"gone","lastEventId":"elsewhere-7"}}';
    socket.once('error', reject);
    socket.once('open', () =>
      socket.send(`{"id":1,"method":"subscription","params":{"path":"session.events","input":${input}}}`),
    );
    socket.on('message', (data) => {
      const { error } = JSON.parse(String(data));
      if (error === undefined) return;
      socket.close();
      resolve(error.json.data.requestId);
    });
  });
const ways: Array<[string, () => Promise<string>]> = [
  ...rawDoors.map((door): [string, () => Promise<string>] => [
    door.name,
    async () => {
      const { error } = await door.call(stack, 'session.items', 'query', '{"sessionId":"gone"}');
      expect(error?.code).toBe('INTERNAL');
      return error?.requestId ?? 'none';
    },
  ]),
  ['SSE', async () => bodyOf(await fetch(`${stack.gateway.url}/api/v1/sessions/gone/events?from=start`, { headers }))],
  [
    'POST /api/v1/message',
    async () =>
      bodyOf(
        await fetch(`${stack.gateway.url}/api/v1/message`, {
          method: 'POST',
          headers,
          body: '{"session_id":"gone","message":"x","stream":true}',
        }),
      ),
  ],
  [
    'POST /agent/message/stream',
    async () =>
      bodyOf(
        await fetch(`${stack.runtime.url}/agent/message/stream`, {
          method: 'POST',
          headers: { 'x-internal-auth': keys.runtime },
          body: '{"session_id":"gone","role":"user","content":"x"}',
        }),
      ),
  ],
  [
    'tRPC of agent-runtime, which brings no request id',
    async () =>
      bodyOf(
        await fetch(
          `${stack.runtime.url}/trpc/session.items?input=${encodeURIComponent('{"json":{"sessionId":"gone"}}')}`,
          {
            headers: { 'x-internal-auth': keys.runtime },
          },
        ),
      ),
  ],
  ['a subscription over tRPC', () => subscribed(stack.gateway.url, keys.gateway)],
  [
    '/ws/{session_id}',
    () =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`${stack.gateway.url.replace('http', 'ws')}/ws/gone`, { headers });
        socket.once('error', reject);
        socket.once('open', () => socket.send('{"type":"user_message","content":"x"}'));
        socket.on('message', (data) => {
          const frame = JSON.parse(String(data));
          if (frame.type !== 'error') return;
          socket.close();
          resolve(frame.requestId);
        });
      }),
  ],
  [
    'the SDK',
    () =>
      stack
        .client()
        .sessions.list()
        .then(() => stack.client().sessions.get('gone'))
        .then(
          (session: Session) => session.items(),
          (error: unknown) => Promise.reject(error),
        )
        .then(
          () => 'no error',
          (error: { requestId: string }) => error.requestId,
        ),
  ],
  [
    '/mcp',
    async () => {
      const client = new Client({ name: 'test', version: '1.0.0' });
      const transport = new StreamableHTTPClientTransport(new URL(`${stack.runtime.url}/mcp`), {
        requestInit: { headers: { 'x-internal-auth': keys.runtime } },
      });
      await client.connect(transport);
      const answer = await client.callTool({
        name: 'send_message',
        arguments: { session_id: 'gone', message: 'x', wait_seconds: 1 },
      });
      await client.close();
      const [{ text }] = answer.content as unknown as [{ text: string }];
      expect(text).toMatch(/^INTERNAL/);
      return /request id: (\S+)\)/.exec(text)?.[1] ?? `none in ${text}`;
    },
  ],
];

/** Those that fail when the answer has begun. */
const lateWays: Array<[string, () => Promise<string>]> = [
  [
    'SSE that begins anew',
    async () =>
      bodyOf(
        await fetch(`${stack.gateway.url}/api/v1/sessions/gone/events`, {
          headers: { ...headers, 'last-event-id': 'elsewhere-7' },
        }),
      ),
  ],
  ['a subscription over tRPC that begins anew', () => subscribed(stack.gateway.url, keys.gateway)],
  ['a subscription of agent-runtime that brings no request id', () => subscribed(stack.runtime.url, keys.runtime)],
  ...['POST /api/v1/message', 'POST /agent/message/stream', '/ws/{session_id}'].map(
    (name) => ways.find(([way]) => way === name) as (typeof ways)[0],
  ),
];

it.each([
  ['at once', 'drop table items', ways],
  ['when the answer has begun', 'alter table items rename column bytes to octets', lateWays],
])(
  'whoever is told INTERNAL %s finds the cause in the log under the request id, whatever the door',
  async (_, damage, all) => {
    await stack.client().sessions.create({ sessionId: 'gone' });
    await change(damage);
    for (const [way, ask] of all) {
      const requestId = await ask();
      const causes = stack.logs.filter((line) => line.requestId === requestId && line.level === 'error');
      expect([way, requestId, causes.some(({ service }) => service === 'agent-runtime')]).toEqual([
        way,
        requestId,
        true,
      ]);
      expect([way, causes.find(({ service }) => service === 'agent-runtime')?.err?.message]).toEqual([
        way,
        expect.stringMatching(/no such (table|column)|does not exist/),
      ]);
    }
  },
);
