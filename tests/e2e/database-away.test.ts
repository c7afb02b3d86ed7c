import { afterEach, describe, expect, it } from 'vitest';
import type { Client } from '../../packages/sdk/src/index.ts';
import { tool } from '../../packages/sdk/src/index.ts';
import { type CuttableProxy, startCuttableProxy } from '../support/cuttable-proxy.ts';
import { holdWrites, makePostgres } from '../support/database.ts';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(variables: Record<string, string> = {}): Promise<{ provider: FakeProvider; stack: Stack }> {
  const provider = await startFakeProvider();
  cleanups.push(() => provider.close());
  const stack = await startStack({ providerUrl: provider.url, variables });
  cleanups.push(() => stack.close());
  return { provider, stack };
}

/** Resolves once the service has given up waiting for the database on a caller's behalf. */
async function refusedForTheDatabase(stack: Stack, sessionId = 'refused'): Promise<void> {
  const response = await fetch(`${stack.runtime.url}/agent/message/stream`, {
    method: 'POST',
    headers: { 'x-internal-auth': keys.runtime },
    body: JSON.stringify({ session_id: sessionId, type: 'user_message', content: 'go' }),
  });
  expect(await response.json()).toMatchObject({ error: { code: 'OVERLOADED' } });
}

describe('a database that takes no writes', () => {
  it('neither an item nor a run is said to be over before that is stored', async () => {
    const { provider, stack } = await start();
    const session = await stack.client().sessions.create();
    const types: string[] = [];
    const watched = (async () => {
      for await (const event of session.events()) {
        types.push(event.type);
        if (event.type === 'run.finished') return;
      }
    })();
    const run = session.send('go');
    const call = await provider.next();
    await call.text('said');
    await run.textStream[Symbol.asyncIterator]().next();
    const shown = types.filter((type) => type === 'item.completed').length;
    const release = await holdWrites(stack.databaseUrl);
    await call.finish();
    await refusedForTheDatabase(stack);
    expect(types.filter((type) => type === 'item.completed')).toHaveLength(shown);
    expect(types).not.toContain('run.finished');
    await release();
    await watched;
    expect(await run.finished()).toMatchObject({ status: 'completed', text: 'said' });
    expect((await session.items()).items.at(-1)).toMatchObject({ text: 'said', status: 'completed' });
  });

  it('an answer is whole for a reader that was away while more was said than a log of events keeps', async () => {
    const { provider, stack } = await start();
    const session = await stack.client().sessions.create();
    const run = session.send('go');
    const call = await provider.next();
    await call.text('It begins.');
    const events = run.events[Symbol.asyncIterator]();
    const seen = async (type: string) => {
      for (;;) {
        const { value, done } = await events.next();
        if (done) throw new Error(`the events ended without ${type}`);
        if (value.type === type) return;
      }
    };
    await seen('item.delta');
    const goesOn = seen('item.delta');
    const read = (async () => {
      let text = '';
      for await (const token of run.textStream) text += token;
      return text;
    })();
    const comeBack = stack.front.goAway();
    const words = 'a word or two '.repeat(6);
    for (let count = 0; count < 120; count++) await call.texts(words, 500);
    const release = await holdWrites(stack.databaseUrl);
    await call.finish();
    await refusedForTheDatabase(stack);
    comeBack();
    // It goes on while the end is not stored yet.
    await goesOn;
    await release();
    const text = `It begins.${words.repeat(60_000)}`;
    const { text: whole, status } = await run.finished();
    expect([status, whole.length, whole === text]).toEqual(['completed', text.length, true]);
    const streamed = await read;
    expect([streamed.length, streamed === text]).toEqual([text.length, true]);
  }, 60_000);

  it('a stop is said to be on its way once that is stored, and stops at once all the same', async () => {
    const { provider, stack } = await start();
    const session = await stack.client().sessions.create({ sessionId: 'stopped' });
    const run = session.send('go');
    const call = await provider.next();
    await call.text('said');
    await run.textStream[Symbol.asyncIterator]().next();
    const release = await holdWrites(stack.databaseUrl);
    const cancelled = await fetch(`${stack.gateway.url}/api/v1/sessions/stopped/cancel`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.gateway },
      body: '{}',
    });
    expect(await cancelled.json()).toMatchObject({ error: { code: 'OVERLOADED' } });
    await call.aborted;
    await release();
    expect(await run.finished()).toMatchObject({ status: 'cancelled', text: 'said' });
  });

  it('each caller is answered in its own time, whoever waits before it', async () => {
    const { stack } = await start();
    const release = await holdWrites(stack.databaseUrl);
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
    }, 8_000);
    // The second one is queued while the first one's write hangs.
    const first = refusedForTheDatabase(stack, 'first');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await Promise.all([first, refusedForTheDatabase(stack, 'second')]);
    expect(isLate).toBe(false);
    clearTimeout(late);
    await release();
  });

  it('an approval whose time is over ends as soon as that can be stored', async () => {
    const { provider, stack } = await start({
      AGENT_RUNTIME__APPROVAL_TIMEOUT_MS: '500',
      AGENT_RUNTIME__STORE_TIMEOUT_MS: '200',
    });
    const client: Client = stack.client({
      tools: {
        write: tool({
          description: 'Writes',
          input: { type: 'object' },
          kind: 'write',
          execute: async () => 'written',
        }),
      },
    });
    const session = await client.sessions.create();
    const run = session.send('go');
    const call = await provider.next();
    await call.tools({ name: 'write', args: {} });
    await call.finish('tool_calls');
    for await (const event of session.events()) if (event.type === 'approval.requested') break;
    const release = await holdWrites(stack.databaseUrl);
    await refusedForTheDatabase(stack);
    await release();
    const next = await provider.next();
    expect(next.body.messages.at(-1).content).toMatch(/Nobody decided/);
    await next.text('then not');
    await next.finish();
    expect(await run.finished()).toMatchObject({ status: 'completed' });
    expect(await session.approvals()).toEqual([]);
  });
});

describe.runIf(process.env.TEST_DATABASE_URL && process.env.CODELAB_TEST_STORE === 'postgres')(
  'a database that cannot be reached',
  () => {
    async function startBehindProxy(variables: Record<string, string>) {
      const database = await makePostgres();
      cleanups.push(() => database.remove());
      const proxy: CuttableProxy = await startCuttableProxy(database.url);
      cleanups.push(() => proxy.close());
      const url = new URL(database.url);
      url.port = new URL(proxy.url).port;
      return { proxy, ...(await start({ AGENT_RUNTIME__DATABASE_URL: url.href, ...variables })) };
    }

    it('rules that cannot be read are waited for, and not taken for none', async () => {
      const { proxy, provider, stack } = await startBehindProxy({});
      const execute = () => 'written';
      const write = tool({ description: 'Writes', input: { type: 'object' }, kind: 'write', execute });
      const session = await stack.client({ timeoutMs: 60_000, tools: { write } }).sessions.create();
      await session.rules.add({ tool: 'write', effect: 'deny' });
      const run = session.send('go');
      const call = await provider.next();
      await call.text('I write.');
      await run.textStream[Symbol.asyncIterator]().next();
      await call.tools({ name: 'write', args: {} });
      // Longer than one read is tried.
      const away = proxy.goAwayFor(5_000);
      await call.finish('tool_calls');
      await away;
      for await (const event of session.events({ from: 'start' })) {
        if (event.type !== 'approval.requested' && event.type !== 'tool.finished') continue;
        expect(event).toMatchObject({ type: 'tool.finished', outcome: 'denied' });
        break;
      }
    }, 60_000);

    it('what waits in the queue is taken up when it is back, however long that takes', async () => {
      const { proxy, provider, stack } = await startBehindProxy({ AGENT_RUNTIME__STORE_TIMEOUT_MS: '300' });
      const session = await stack.client({ timeoutMs: 60_000 }).sessions.create();
      const run = session.send('first');
      const call = await provider.next();
      await call.text('1');
      await run.textStream[Symbol.asyncIterator]().next();
      const queued = session.send('second');
      for await (const event of session.events({ from: 'start' }))
        if (event.type === 'session.state' && event.queued === 1) break;
      // Neither the first run's end can be stored nor the next one's beginning, nor be read what there is to do.
      const away = proxy.goAwayFor(8_000);
      await call.finish();
      await away;
      // Some were asked for nothing: their run could not be stored.
      for (;;) {
        const next = await provider.next();
        expect(next.body.messages.at(-1).content).toBe('second');
        await next.text('2');
        await next.finish();
        if (await Promise.race([queued.finished().then(() => true), next.aborted.then(() => false)])) break;
      }
      expect(await queued.finished()).toMatchObject({ status: 'completed', text: '2' });
    }, 60_000);
  },
);
