import { afterAll, beforeAll, expect, expectTypeOf, it } from 'vitest';
import { CodelabError, type RunInfo } from '../../packages/sdk/src/index.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ variables: { AGENT_RUNTIME__LLM_MODEL: 'builtin/echo' } });
});
afterAll(() => stack.close());

it('client.call calls any procedure of the contract by its name, with its types', async () => {
  const client = stack.client();
  const { session } = await client.call('session.create', { sessionId: 'called', metadata: { a: '1' } });
  expect(session.createdAt).toBeInstanceOf(Date);
  const sent = (await client.sessions.get('called')).send('hi');
  const { text, runId } = await sent.finished();
  expect(text).toBe('You said: hi');
  const run = await client.call('run.get', { sessionId: 'called', runId });
  expectTypeOf(run).toEqualTypeOf<RunInfo>();
  expect(run).toMatchObject({ status: 'completed', steps: 1 });
  expect((await client.call('agent.list', {})).defaultAgent).toBe('orchestrator');
});

it('client.call goes on over a cut, and throws what the service says', async () => {
  const client = stack.client();
  await client.call('session.create', { sessionId: 'cut' });
  stack.front.cut();
  expect((await client.call('session.get', { sessionId: 'cut' })).sessionId).toBe('cut');
  const refused = await client.call('session.get', { sessionId: 'none' }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(CodelabError);
  expect(refused).toMatchObject({ code: 'NOT_FOUND' });
});
