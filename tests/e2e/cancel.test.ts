import { on } from 'node:events';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { TrackedSessionEvent } from '../../packages/sdk/src/index.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

it('a cancel reaches the provider, and the run ends once, keeping what was said', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.text('half');
  const tokens = run.textStream[Symbol.asyncIterator]();
  expect((await tokens.next()).value).toBe('half');
  await run.cancel();
  await call.aborted;
  expect((await tokens.next()).done).toBe(true);
  expect(await run.finished()).toMatchObject({ status: 'cancelled', text: 'half' });
  await run.cancel();
  const { items } = await session.items();
  expect(items).toMatchObject([
    { kind: 'user_message' },
    { kind: 'assistant_message', text: 'half', status: 'incomplete' },
  ]);
  const ends = [];
  for await (const event of session.events({ from: 'start' })) {
    if (event.type === 'run.finished') ends.push(event.status);
    if (event.type === 'stream.synced') break;
  }
  expect(ends).toEqual(['cancelled']);
});

it('a cancel before the provider has said anything reaches it too', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await session.cancel();
  await call.aborted;
  expect(await run.finished()).toMatchObject({ status: 'cancelled', text: '' });
});

it('a cancel that is sent again, as after a cut, does not stop the next run', async () => {
  const session = await story.stack.client().sessions.create({ sessionId: 'cancelled-once' });
  const run = session.send('first');
  const next = session.send('second');
  const call = await story.provider.next();
  for await (const event of session.events({ from: 'start' }))
    if (event.type === 'session.state' && event.queued === 1) break;
  const cancel = async (requestId: string) => {
    const response = await fetch(`${story.stack.gateway.url}/api/v1/sessions/cancelled-once/cancel`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.gateway, 'x-request-id': requestId },
      body: '{}',
    });
    return response.json();
  };
  expect(await cancel('req_1')).toEqual({ status: 'cancelling' });
  await call.aborted;
  expect(await run.finished()).toMatchObject({ status: 'cancelled' });
  const second = await story.provider.next();
  expect(await cancel('req_1')).toEqual({ status: 'already_finished' });
  await second.text('goes on');
  await second.finish();
  expect(await next.finished()).toMatchObject({ status: 'completed', text: 'goes on' });
});

it('a client that goes away cancels nothing: the run goes on and is there when it is back', async () => {
  const client = story.stack.client();
  const session = await client.sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.text('one');
  await run.textStream[Symbol.asyncIterator]().next();
  client.close();
  await call.text(' two');
  await call.finish();
  const again = await story.stack.client().sessions.get(session.id);
  expect((await again.send('go', { inputId: run.inputId }).finished()).text).toBe('one two');
  expect(story.provider.calls).toHaveLength(1);
});

it('POST /api/v1/message says that its answer was cancelled, and what there is of it', async () => {
  const ask = async (message: string) => {
    const response = await fetch(`${story.stack.gateway.url}/api/v1/message`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.gateway },
      body: JSON.stringify({ session_id: 'asked', message }),
    });
    return { status: response.status, body: await response.json() };
  };
  const stopped = ask('go');
  const call = await story.provider.next();
  await call.text('Half an');
  const session = await story.stack.client().sessions.get('asked');
  for await (const event of session.events({ from: 'start' })) if (event.type === 'item.delta') break;
  await session.cancel();
  expect(await stopped).toMatchObject({ status: 200, body: { status: 'cancelled', message: 'Half an' } });
  const whole = ask('go on');
  const second = await story.provider.next();
  await second.text('All of it');
  await second.finish();
  expect(await whole).toMatchObject({ status: 200, body: { status: 'completed', message: 'All of it' } });
});

it('closing one raw WebSocket leaves the run and the other watcher alone', async () => {
  const open = async () => {
    const socket = new WebSocket(`${story.stack.gateway.url.replace('http', 'ws')}/ws/shared-session`, {
      headers: { 'x-internal-auth': keys.gateway },
    });
    await new Promise((resolve) => socket.once('open', resolve));
    return socket;
  };
  const first = await open();
  first.send(JSON.stringify({ type: 'user_message', content: 'go' }));
  const call = await story.provider.next();
  await call.text('one');
  const second = await open();
  const frames = on(second, 'message');
  const nextFrame = async () => JSON.parse(String((await frames.next()).value[0]));
  // Whoever comes in the middle gets what has been said.
  expect(await nextFrame()).toMatchObject({ token: 'one' });
  first.terminate();
  await call.text(' two');
  expect(await nextFrame()).toMatchObject({ token: ' two' });
  await call.finish();
  expect(await nextFrame()).toEqual({ token: '', is_final: true, type: 'assistant_message' });
  second.close();
});

it('llm-proxy aborts the provider when its own client goes away, stream or not', async () => {
  for (const stream of [true, false]) {
    const gone = new AbortController();
    const request = fetch(`${story.stack.llmProxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.llmProxy },
      body: JSON.stringify({ model: 'fake-1', stream, messages: [{ role: 'user', content: 'go' }] }),
      signal: gone.signal,
    });
    request.catch(() => {});
    const call = await story.provider.next();
    await call.text('one');
    if (stream) await (await request).body?.getReader().read();
    gone.abort();
    await call.aborted;
  }
});

it('a message that still waits is taken back without waiting for its turn', async () => {
  const session = await story.stack.client().sessions.create();
  const first = session.send('one');
  const call = await story.provider.next();
  const second = session.send('two');
  await second.cancel();
  expect(await second.finished()).toMatchObject({ status: 'cancelled', text: '' });
  await second.cancel();
  await call.text('1');
  await call.finish();
  expect((await first.finished()).text).toBe('1');
  expect((await session.items()).items.map(({ text }) => text)).toEqual(['one', '1']);
  expect(story.provider.calls).toHaveLength(1);
});

it('deleting a session ends its run and what waits in its queue', async () => {
  const client = story.stack.client();
  const session = await client.sessions.create();
  const first = session.send('one');
  const call = await story.provider.next();
  const second = session.send('two');
  // A watcher that comes after the session has gone learns just that.
  const outcomes = [first, second].map((run) =>
    run.finished().then(
      ({ status }) => status,
      (error) => error.code,
    ),
  );
  // Once the watchers are there.
  const events = session.events({ from: 'start' })[Symbol.asyncIterator]();
  const until = async (isIt: (event: TrackedSessionEvent) => boolean) => {
    for (let next = await events.next(); !next.done; next = await events.next()) if (isIt(next.value)) return true;
    return false;
  };
  expect(await until((event) => event.type === 'session.state' && event.queued === 1)).toBe(true);
  await session.delete();
  expect(await until(({ type }) => type === 'session.deleted')).toBe(true);
  await call.aborted;
  for (const outcome of await Promise.all(outcomes)) expect(['cancelled', 'NOT_FOUND']).toContain(outcome);
  await expect(client.sessions.get(session.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
