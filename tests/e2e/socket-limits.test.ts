import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { tool } from '../../packages/sdk/src/index.ts';
import { conversationOf } from '../support/fake-provider.ts';
import { rawDoors } from '../support/raw-doors.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();
const headers = { 'x-internal-auth': keys.gateway, 'content-type': 'application/json' };

interface Answer {
  id: number | string | null;
  result?: { type: string };
  error?: { json: { data: { code: string; message: string; retryAfterMs?: number } } };
}

/** A socket with everything that it was answered. */
async function open(path: string) {
  const socket = new WebSocket(`${story.stack.gateway.url.replace('http', 'ws')}${path}`, { headers });
  const answers: Answer[] = [];
  let wake = () => {};
  socket.on('message', (data) => {
    answers.push(JSON.parse(String(data)));
    wake();
  });
  socket.on('close', () => wake());
  await once(socket, 'open');
  return {
    socket,
    answers,
    send: (message: unknown) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    /** Resolves when what was answered is so; rejects when the socket is closed before. */
    async until(isSo: () => boolean): Promise<void> {
      while (!isSo()) {
        if (socket.readyState !== socket.OPEN) throw new Error(`closed with ${answers.length} answers`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

const query = (id: number) => ({ id, method: 'query', params: { path: 'agent.list', input: { json: {} } } });
const watch = (id: number, sessionId: string) => ({
  id,
  method: 'subscription',
  params: { path: 'session.events', input: { json: { sessionId } } },
});
const codeOf = ({ error }: Answer) => error?.json.data.code;

/** An answer that gateway gives by itself. */
const nothing = (id: number) => ({ id, method: 'query', params: { path: 'no.such', input: { json: {} } } });

it('more calls than a socket may make at once: each is answered by its id, the rest told when to come again', async () => {
  const { send, answers, until, socket } = await open('/trpc');
  send(Array.from({ length: 6_000 }, (_, id) => nothing(id)));
  await until(() => answers.length === 6_000);
  expect(new Set(answers.map(({ id }) => id)).size).toBe(6_000);
  expect(new Set(answers.map(codeOf))).toEqual(new Set(['NOT_FOUND', 'RATE_LIMITED']));
  const refused = answers.filter((answer) => codeOf(answer) === 'RATE_LIMITED');
  expect(refused.length).toBeLessThan(2_000);
  expect(refused[0]?.error?.json.data).toMatchObject({
    message: expect.stringMatching(/4096 at once and 1000 a second/),
    retryAfterMs: expect.any(Number),
  });
  await new Promise((resolve) => setTimeout(resolve, refused.at(-1)?.error?.json.data.retryAfterMs));
  send(query(7_000));
  await until(() => answers.some(({ id }) => id === 7_000));
  expect(codeOf(answers.at(-1) as Answer)).toBeUndefined();
  socket.close();
});

it('more calls than may be at work on one socket are told to wait', async () => {
  const { send, answers, until, socket } = await open('/trpc');
  send(Array.from({ length: 1_100 }, (_, id) => query(id)));
  await until(() => answers.length === 1_100);
  const refused = answers.filter(({ error }) => error !== undefined);
  expect(refused).toHaveLength(76);
  expect(refused[0]?.error?.json.data).toMatchObject({
    code: 'RATE_LIMITED',
    message: expect.stringMatching(/1024 calls of this socket are at work, .*wait for some/),
  });
  send(query(2_000));
  await until(() => answers.some(({ id, error }) => id === 2_000 && error === undefined));
  socket.close();
});

it('the SDK sends again what was too much, and nothing of it is lost', { timeout: 60_000 }, async () => {
  const client = story.stack.client({ timeoutMs: 60_000 });
  const answers = await Promise.all(Array.from({ length: 2_000 }, () => client.agents.list()));
  expect(answers).toHaveLength(2_000);
});

it.each(['/trpc', '/ws/flooded'])('a flood of frames of one byte at %s is ended, with the reason', async (path) => {
  const { socket, send, answers } = await open(path);
  const end = once(socket, 'close');
  for (let i = 0; i < 100_000 && socket.readyState === socket.OPEN; i++) {
    send('1');
    if (i % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const [code, reason] = await end;
  expect([code, String(reason)]).toEqual([1008, expect.stringMatching(/^RATE_LIMITED: /)]);
  expect(answers.length).toBeLessThan(20_000);
  // Everybody else is served.
  expect((await fetch(`${story.stack.gateway.url}/api/v1/agents`, { headers })).status).toBe(200);
});

it('a socket has at most 4,096 subscriptions: one that ends makes room', { timeout: 60_000 }, async () => {
  await story.stack.client().sessions.create({ sessionId: 'watched' });
  const { send, answers, until, socket } = await open('/trpc');
  send(Array.from({ length: 4_096 }, (_, id) => watch(id, 'watched')));
  await until(() => answers.filter(({ result }) => result?.type === 'started').length === 4_096);
  expect(answers.filter(({ error }) => error !== undefined)).toEqual([]);
  const tried = async (id: number) => {
    send(watch(id, 'watched'));
    await until(() => answers.some((answer) => answer.id === id));
    return answers.find((answer) => answer.id === id) as Answer;
  };
  const over = await tried(5_000);
  // The bucket of messages is empty as well: both say what is too much.
  expect(over.error?.json.data).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
  await new Promise((resolve) => setTimeout(resolve, over.error?.json.data.retryAfterMs));
  const full = await tried(5_001);
  expect(full.error?.json.data.message).toMatch(/4096 subscriptions of this socket are open, .*end some/);
  send({ id: 0, method: 'subscription.stop' });
  await until(() => answers.some(({ id, result }) => id === 0 && result?.type === 'stopped'));
  expect((await tried(5_002)).result?.type).toBe('started');
  socket.close();
});

it('1,500 watchers outlive a cut between gateway and agent-runtime: their subscriptions come back in one message', async () => {
  const session = await story.stack.client().sessions.create({ sessionId: 'outlived' });
  const { send, answers, until, socket } = await open('/trpc');
  const synced = () => answers.filter((answer) => JSON.stringify(answer).includes('"type":"stream.synced"')).length;
  send(Array.from({ length: 1_500 }, (_, id) => watch(id, 'outlived')));
  await until(() => synced() === 1_500);
  const again = story.stack.back.nextConnection();
  story.stack.back.cut();
  await again;
  await session.update({ title: 'after the cut' });
  const told = () => new Set(answers.flatMap((a) => (JSON.stringify(a).includes('after the cut') ? [a.id] : []))).size;
  await until(() => told() === 1_500);
  expect(answers.filter(({ error }) => error !== undefined)).toEqual([]);
  socket.close();
});

const DEEP = 100_000;
const deep = `${'['.repeat(DEEP)}${']'.repeat(DEEP)}`;

describe('JSON of 100,000 levels is refused at once', () => {
  it.each(rawDoors)('through $name: as a result, as a schema, as metadata', async (door) => {
    const { stack } = story;
    await stack.client().sessions.create({ sessionId: 'deep' });
    for (const [procedure, input] of [
      ['tool.result', `{"sessionId":"deep","callId":"c","result":${deep}}`],
      [
        'tool.announce',
        `{"sessionId":"deep","clientId":"c","tools":[{"name":"t","inputSchema":{"type":"object","x":${deep}}}]}`,
      ],
      ['approval.decide', `{"sessionId":"deep","callId":"c","decision":"edit","arguments":{"x":${deep}}}`],
      ['session.create', `{"sessionId":"deeper","z":${deep}}`],
    ] as const) {
      const { error } = await door.call(stack, procedure, 'mutation', input);
      expect([procedure, error]).toEqual([
        procedure,
        expect.objectContaining({ code: 'VALIDATION', retryable: false, message: expect.stringMatching(/512 levels/) }),
      ]);
    }
  });

  it('in the URL of a query, where not even 600 levels pass', async () => {
    const input = encodeURIComponent(`{"json":{"z":${'['.repeat(600)}${']'.repeat(600)}}}`);
    const answer = await fetch(`${story.stack.gateway.url}/trpc/agent.list?input=${input}`, { headers });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain('512 levels');
  });

  it('over /ws/{session_id}, and the connection stays', async () => {
    const { socket, send, answers, until } = await open('/ws/deep-frames');
    send(`{"type":"tool_result","call_id":"c","result":${deep}}`);
    await until(() => answers.length === 1);
    expect(answers[0]).toMatchObject({
      type: 'error',
      code: 'VALIDATION',
      content: expect.stringMatching(/512 levels/),
    });
    expect(socket.readyState).toBe(socket.OPEN);
    socket.close();
  });

  it('in a batch each call is told so by its id', async () => {
    const { socket, send, answers, until } = await open('/trpc');
    send(
      `[${JSON.stringify(query(1))},{"id":"two","method":"mutation","params":{"path":"a","input":{"json":${deep}}}}]`,
    );
    await until(() => answers.length === 2);
    expect(answers.map(({ id }) => id)).toEqual([1, 'two']);
    expect(answers.map(codeOf)).toEqual(['VALIDATION', 'VALIDATION']);
    send(query(3));
    await until(() => answers.length === 3);
    expect(answers[2]?.result).toBeDefined();
    socket.close();
  });

  it('written by a model it is a mistake of the model, which is told, and the run goes on', async () => {
    const { stack, provider } = story;
    const seen: unknown[] = [];
    const tools = {
      odd: tool({ description: 'x', input: { type: 'object' }, kind: 'read', execute: (args) => void seen.push(args) }),
    };
    const session = await stack.client({ tools }).sessions.create();
    const run = session.send('go');
    const first = await provider.next();
    await first.tools({ name: 'odd', args: `{"z":${deep}}` });
    await first.finish('tool_calls');
    const second = await provider.next();
    expect(conversationOf(second).at(-1)).toMatchObject({ role: 'tool', content: expect.stringMatching(/200 levels/) });
    await second.text('I see.');
    await second.finish();
    expect(await run.finished()).toMatchObject({ status: 'completed', text: 'I see.' });
    expect(seen).toEqual([]);
    expect((await session.items()).items.map(({ kind }) => kind)).toContain('tool_call');
  });

  it('a deep result of a tool of the SDK reaches the model', async () => {
    const { stack, provider } = story;
    const value = JSON.parse(`${'['.repeat(2_000)}${']'.repeat(2_000)}`);
    const tools = {
      odd: tool({ description: 'x', input: { type: 'object' }, kind: 'read', execute: () => value }),
    };
    const session = await stack.client({ tools }).sessions.create();
    const run = session.send('go');
    const first = await provider.next();
    await first.tools({ name: 'odd', args: {} });
    await first.finish('tool_calls');
    const second = await provider.next();
    expect(conversationOf(second).at(-1)).toMatchObject({ role: 'tool', content: JSON.stringify(value) });
    await second.finish();
    await run.finished();
  });
});
