import { afterEach, describe, expect, it } from 'vitest';
import type { CuttableProxy } from '../support/cuttable-proxy.ts';
import { startCuttableProxy } from '../support/cuttable-proxy.ts';
import { makePostgres } from '../support/database.ts';
import { conversationOf, startFakeProvider } from '../support/fake-provider.ts';
import { startStack } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

describe('what is stored', () => {
  const story = useStory();

  it('outlives agent-runtime: sessions, history, queue, usage, rules, and the id of what was sent', async () => {
    const session = await story.stack.client().sessions.create({ sessionId: 'kept', title: 'Kept', agent: 'coder' });
    await session.rules.add({ tool: 'run_command', effect: 'deny' });
    const run = session.send('one', { inputId: 'first' });
    const call = await story.provider.next();
    await call.text('1');
    await call.finish();
    const { runId } = await run.finished();
    session.send('two', { inputId: 'second' });
    await story.provider.next();
    session.send('three', { inputId: 'third' });
    for await (const event of session.events({ from: 'start' }))
      if (event.type === 'session.state' && event.queued === 1) break;
    await story.stack.restartRuntime();

    const again = await story.stack.client().sessions.get('kept');
    expect(again.info).toMatchObject({ title: 'Kept', agent: 'coder' });
    const second = await story.provider.next();
    expect(conversationOf(second).map(({ content }) => content)).toEqual(['one', '1', 'two']);
    await second.text('2');
    await second.finish();
    const third = await story.provider.next();
    expect(conversationOf(third).at(-1)?.content).toBe('three');
    await third.text('3');
    await third.finish();
    expect(await again.send('three', { inputId: 'third' }).finished()).toMatchObject({
      status: 'completed',
      text: '3',
    });
    expect(await again.send('one', { inputId: 'first' }).finished()).toMatchObject({ runId, text: '1' });
    await expect(again.send('other', { inputId: 'first' }).finished()).rejects.toMatchObject({
      code: 'IDEMPOTENCY_MISMATCH',
    });
    expect(await again.usage()).toMatchObject({ steps: 3 });
    expect(await again.rules.list()).toMatchObject([{ tool: 'run_command', effect: 'deny' }]);
    expect((await again.items()).items.map(({ text }) => text)).toEqual(['one', '1', 'two', '2', 'three', '3']);
    await again.delete();
    await story.stack.restartRuntime();
    await expect(story.stack.client().sessions.get('kept')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('a session has no usage of a deleted one of its name; the total has', async () => {
    const client = story.stack.client();
    for (const steps of [1, 2]) {
      const session = await client.sessions.create({ sessionId: 'again' });
      expect(await session.usage()).toMatchObject({ steps: 0, byModel: [] });
      const run = session.send('go');
      await (await story.provider.next()).finish();
      await run.finished();
      expect(await session.usage()).toMatchObject({ steps: 1 });
      await session.delete();
      expect(await client.usage()).toMatchObject({ steps });
    }
  });

  it('a reader of before the restart goes on where it was', async () => {
    const session = await story.stack.client().sessions.create();
    const run = session.send('one');
    const call = await story.provider.next();
    await call.text('1');
    await call.finish();
    await run.finished();
    const events = session.events({ from: 'start' })[Symbol.asyncIterator]();
    let last = (await events.next()).value;
    while (last?.type !== 'stream.synced') last = (await events.next()).value;
    await story.stack.restartRuntime();
    expect((await events.next()).value).toMatchObject({ type: 'stream.synced', seq: last.seq, id: last.id });
    await events.return?.();
    const again = await story.stack.client().sessions.get(session.id);
    const types: string[] = [];
    for await (const { type } of again.events({ from: 'start' })) {
      types.push(type);
      if (type === 'stream.synced') break;
    }
    expect(types).toContain('run.finished');
    expect(types).not.toContain('stream.reset');
  });
});

describe.runIf(process.env.TEST_DATABASE_URL && process.env.CODELAB_TEST_STORE === 'postgres')(
  'a PostgreSQL that is gone for five seconds',
  () => {
    const cleanups: Array<() => Promise<void>> = [];
    afterEach(async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    });

    it('loses nothing: what runs goes on, and what is sent meanwhile is taken when it is back', async () => {
      const database = await makePostgres();
      cleanups.push(() => database.remove());
      const proxy: CuttableProxy = await startCuttableProxy(database.url);
      cleanups.push(() => proxy.close());
      const provider = await startFakeProvider();
      cleanups.push(() => provider.close());
      const url = new URL(database.url);
      url.port = new URL(proxy.url).port;
      const stack = await startStack({
        providerUrl: provider.url,
        variables: { AGENT_RUNTIME__DATABASE_URL: url.href },
      });
      cleanups.push(() => stack.close());
      const session = await stack.client({ timeoutMs: 30_000 }).sessions.create();
      const run = session.send('before');
      const call = await provider.next();
      await call.text('half');
      await run.textStream[Symbol.asyncIterator]().next();
      const away = proxy.goAwayFor(5_000);
      await call.text(' and half');
      await call.finish();
      const meanwhile = session.send('meanwhile');
      expect(await run.finished()).toMatchObject({ status: 'completed', text: 'half and half' });
      const next = await provider.next();
      await next.text('there');
      await next.finish();
      expect(await meanwhile.finished()).toMatchObject({ status: 'completed', text: 'there' });
      await away;
      expect((await session.items()).items.map(({ text }) => text)).toEqual([
        'before',
        'half and half',
        'meanwhile',
        'there',
      ]);
      const run2 = await session.send('after');
      await (await provider.next()).finish();
      await run2.finished();
    });
  },
);
