import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let provider: FakeProvider;
let stack: Stack;
beforeEach(async () => {
  provider = await startFakeProvider();
  stack = await startStack({ providerUrl: provider.url, variables: { AGENT_RUNTIME__LIVE_SESSIONS: '3' } });
});
afterEach(async () => {
  await stack.close();
  await provider.close();
});

it('a session beyond those that are kept in memory is one all the same: its message runs once, and its watcher sees it', async () => {
  const client = stack.client();
  const ended: Promise<unknown>[] = [];
  for (let count = 0; count < 5; count++) {
    const { id } = await client.sessions.create();
    const events = (await client.sessions.get(id)).events()[Symbol.asyncIterator]();
    while ((await events.next()).value?.type !== 'stream.synced');
    ended.push(events.next().catch(() => {}));
  }
  const session = await client.sessions.create({ sessionId: 'one-more' });
  // Nobody watches yet.
  await fetch(`${stack.gateway.url}/api/v1/sessions/one-more/inputs`, {
    method: 'POST',
    headers: { 'x-internal-auth': keys.gateway },
    body: JSON.stringify({ inputId: 'asked', content: 'go' }),
  });
  const call = await provider.next();
  await call.text('once');
  const seen: string[] = [];
  const watched = (async () => {
    for await (const event of session.events()) {
      seen.push(event.type);
      if (event.type === 'run.finished') return;
    }
  })();
  // Whatever asks for the session meanwhile.
  await session.approvals();
  await session.items();
  await call.finish();
  await watched;
  expect(await session.send('go', { inputId: 'asked' }).finished()).toMatchObject({ text: 'once' });
  expect(seen).toContain('item.delta');
  expect((await session.items()).items.map(({ text }) => text)).toEqual(['go', 'once']);
  expect(provider.calls).toHaveLength(1);
  client.close();
  await Promise.all(ended);
});
