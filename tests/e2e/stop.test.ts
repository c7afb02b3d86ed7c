import { expect, it } from 'vitest';
import { readSse } from '../support/doors.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

it('lets a running answer finish through all three services, and takes nothing new', async () => {
  const session = await story.stack.client().sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.text('one');
  const tokens = run.textStream[Symbol.asyncIterator]();
  expect((await tokens.next()).value).toBe('one');

  const stopped = Promise.all([
    story.stack.gateway.close(10_000),
    story.stack.runtime.close(10_000),
    story.stack.llmProxy.close(10_000),
  ]);
  for (const { url } of [story.stack.gateway, story.stack.runtime, story.stack.llmProxy]) {
    await expect(fetch(`${url}/health`, { headers: { connection: 'close' } })).rejects.toThrow();
  }
  await call.text(' two');
  expect((await tokens.next()).value).toBe(' two');
  await call.finish();
  expect((await tokens.next()).done).toBe(true);
  expect(await run.finished()).toMatchObject({ status: 'completed', text: 'one two' });
  await stopped;
});

it('ends what does not finish in time: the provider is let go, and the watcher is told', async () => {
  const answer = fetch(`${story.stack.runtime.url}/agent/message/stream`, {
    method: 'POST',
    headers: { 'x-internal-auth': keys.runtime },
    body: JSON.stringify({ session_id: 'slow', type: 'user_message', content: 'go' }),
  });
  const call = await story.provider.next();
  await call.text('one');
  const messages = readSse(await answer);
  expect((await messages.next()).value?.data).toContain('"token":"one"');
  await story.stack.runtime.close(50);
  await call.aborted;
  let last: string | undefined;
  for await (const { data } of messages) last = data;
  expect(last).toBe('[DONE]');
});

it('stops at once when nothing runs, however many watch', async () => {
  const client = story.stack.client();
  const session = await client.sessions.create();
  const events = session.events()[Symbol.asyncIterator]();
  expect((await events.next()).value?.type).toBe('stream.synced');
  const ended = events.next().catch(() => undefined);
  // The limit is beyond the test's own: waiting for it would fail.
  await Promise.all([
    story.stack.gateway.close(60_000),
    story.stack.runtime.close(60_000),
    story.stack.llmProxy.close(60_000),
  ]);
  client.close();
  await ended;
});
