import { expect, it } from 'vitest';
import { type ApprovalHandler, tool } from '../../packages/sdk/src/index.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

const act = tool({ description: 'Acts', input: { type: 'object' }, execute: () => 'done' });

async function makeSession(handler?: ApprovalHandler) {
  const session = await story.stack.client({ tools: { act } }).sessions.create();
  if (handler !== undefined) session.onApproval(handler);
  const decisions = async () => (await session.items()).items.flatMap(({ toolCall }) => toolCall?.decision ?? []);
  return { session, decisions };
}

it('who decided is in the history, however it went, and is told to whoever comes too late, after a restart too', async () => {
  const handlers: ApprovalHandler[] = [
    () => ({ decision: 'allow', by: 'ada' }),
    () => ({ decision: 'reject', by: 'brian', feedback: 'no' }),
    () => ({ decision: 'edit', arguments: { x: 1 }, by: 'ada' }),
    () => ({ decision: 'allow', scope: 'session' }),
  ];
  const { session, decisions } = await makeSession((...args) => (handlers.shift() as ApprovalHandler)(...args));
  const run = session.send('go');
  for (let step = 0; step < 4; step++) {
    const call = await story.provider.next();
    await call.tools({ name: 'act', args: { step } });
    await call.finish('tool_calls');
  }
  await (await story.provider.next()).finish();
  await run.finished();
  const expected = [
    { decision: 'allow', by: 'ada', decidedAt: expect.any(Number) },
    { decision: 'reject', by: 'brian' },
    { decision: 'edit', by: 'ada' },
    { decision: 'allow', by: 'user' },
  ];
  expect(await decisions()).toMatchObject(expected);
  await story.stack.restartRuntime();
  expect(await decisions()).toMatchObject(expected);
  const { items } = await session.items();
  const callId = items.find(({ toolCall }) => toolCall?.decision?.by === 'brian')?.toolCall?.callId ?? '';
  await expect(session.decide(callId, { decision: 'allow' })).rejects.toMatchObject({
    code: 'APPROVAL_ALREADY_RESOLVED',
    details: { decision: 'reject', by: 'brian' },
  });
});

it('what a rule decided, or nobody, says so', async () => {
  const { session, decisions } = await makeSession();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.tools({ name: 'act', args: {} });
  await call.finish('tool_calls');
  for await (const event of session.events({ from: 'start' })) if (event.type === 'approval.requested') break;
  const rule = await session.rules.add({ tool: 'act', effect: 'allow' });
  const next = await story.provider.next();
  await session.rules.delete(rule.ruleId);
  await next.tools({ name: 'act', args: { again: true } });
  await next.finish('tool_calls');
  let requests = 0;
  for await (const event of session.events({ from: 'start' }))
    if (event.type === 'approval.requested' && ++requests === 2) break;
  await run.cancel();
  expect(await run.finished()).toMatchObject({ status: 'cancelled' });
  expect(await decisions()).toMatchObject([
    { decision: 'allow', by: 'rule' },
    { decision: 'cancelled', by: 'service' },
  ]);
});
