import { describe, expect, it } from 'vitest';
import { createDeferred } from '../../packages/agent-runtime/src/lib/deferred.ts';
import { type Client, type Session, tool } from '../../packages/sdk/src/index.ts';
import { conversationOf } from '../support/fake-provider.ts';
import { type Story, useStory } from '../support/story.ts';

/** A window, whose tool waits until it is told to answer. */
interface Window {
  client: Client;
  calls: Array<(text: string) => void>;
  /** Resolves once a call runs here. */
  called: Promise<void>;
}

function open(story: Story): Window {
  const calls: Window['calls'] = [];
  const { promise: called, resolve: tell } = createDeferred<void>();
  const execute = () =>
    new Promise<string>((resolve) => {
      calls.push(resolve);
      tell();
    });
  const act = tool({ description: 'Acts', input: { type: 'object' }, kind: 'read', execute });
  return { calls, called, client: story.stack.client({ tools: { act } }) };
}

/** Lets the model make a call. */
async function call(story: Story, session: Session) {
  const run = session.send('go');
  const step = await story.provider.next();
  await step.tools({ name: 'act', args: {} });
  await step.finish('tool_calls');
  return run;
}

/** What the model is told of its call. */
async function toldOf(story: Story): Promise<unknown> {
  const next = await story.provider.next();
  const result = conversationOf(next).at(-1)?.content;
  await next.finish();
  return result;
}

describe('where a client that is cut off has little time to come back', () => {
  const story = useStory({ graceMs: 300, variables: { AGENT_RUNTIME__CLIENT_TIMEOUT_MS: '100' } });

  it('a call stays with its window when another one comes, goes to that when the first is gone, and the first result counts', async () => {
    const one = open(story);
    const two = open(story);
    const session = await one.client.sessions.create();
    const other = await two.client.sessions.get(session.id);
    const seen: string[] = [];
    const watcher = story.stack.client();
    const watched = (async () => {
      const events = (await watcher.sessions.get(session.id)).events({ from: 'start' });
      for await (const event of events) {
        if (event.type === 'tool.requested') seen.push(event.clientId ?? 'nobody');
        if (event.type === 'run.finished') return;
      }
    })();
    const run = await call(story, other);
    await two.called;
    const three = open(story);
    await three.client.sessions.get(session.id);
    three.client.close();
    two.client.close();
    await one.called;
    await expect.poll(() => seen.length).toBe(2);
    one.calls[0]?.('from one');
    expect(await toldOf(story)).toBe('from one');
    await watched;
    expect(new Set(seen).size).toBe(2);
    expect(three.calls).toEqual([]);
    const callId = (await session.items()).items.find(({ kind }) => kind === 'tool_call')?.itemId ?? '';
    await expect(
      watcher.call('tool.result', { sessionId: session.id, callId, result: 'too late' }),
    ).rejects.toMatchObject({ code: 'TOOL_CALL_FINISHED' });
    await expect(run.finished()).rejects.toThrow('closed');
  });

  it('a call that nobody can run is said to wait, and the model is told soon', async () => {
    const one = open(story);
    const { id } = await one.client.sessions.create();
    one.client.close();
    const session = await story.stack.client().sessions.get(id);
    await expect
      .poll(async () => (await story.stack.client().call('tool.list', { sessionId: id })).tools)
      .toContainEqual(expect.objectContaining({ name: 'act', connected: false }));
    const run = await call(story, session);
    expect(await toldOf(story)).toContain('No client that has the tool "act" is connected.');
    await run.finished();
    const { items } = await session.items();
    expect(items.filter(({ kind }) => kind === 'notice').map(({ text }) => text)).toEqual([
      'No client that has the tool "act" is connected: its call waits 0.1 s for one.',
    ]);
  });
});

describe('where it has its time', () => {
  const story = useStory();

  it.each(['gateway', 'agent-runtime'])('a restart of %s moves no call, and none is made twice', async (service) => {
    const one = open(story);
    const two = open(story);
    const session = await one.client.sessions.create();
    await two.client.sessions.get(session.id);
    const run = await call(story, session);
    await two.called;
    if (service === 'gateway') await story.stack.restartGateway();
    else await story.stack.restartRuntime();
    await expect
      .poll(async () => (await one.client.call('tool.list', { sessionId: session.id })).tools)
      .toContainEqual(expect.objectContaining({ name: 'act', connected: true }));
    two.calls[0]?.('from two');
    expect(await toldOf(story)).toBe('from two');
    await run.finished();
    expect([one.calls.length, two.calls.length]).toEqual([0, 1]);
  });
});
