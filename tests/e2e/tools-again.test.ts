import { expect, it } from 'vitest';
import { tool } from '../../packages/sdk/src/index.ts';
import { conversationOf } from '../support/fake-provider.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

it('a call that was made while agent-runtime was away is answered when it is back, and made once', async () => {
  let made = 0;
  let finish = (_: string) => {};
  const client = story.stack.client({
    tools: {
      slow: tool({
        description: 'Takes its time',
        input: { type: 'object' },
        kind: 'read',
        execute: () => {
          made++;
          return new Promise<string>((resolve) => {
            finish = resolve;
          });
        },
      }),
    },
  });
  const session = await client.sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.tools({ name: 'slow', args: {} });
  await call.finish('tool_calls');
  for await (const event of session.events({ from: 'start' })) if (event.type === 'tool.requested') break;
  const restarted = story.stack.restartRuntime();
  finish('done meanwhile');
  await restarted;
  const next = await story.provider.next();
  expect(conversationOf(next).at(-1)).toMatchObject({ role: 'tool', content: 'done meanwhile' });
  await next.finish();
  await run.finished();
  expect(made).toBe(1);
});

it('another window takes over the calls of one that has gone', async () => {
  const tools = (made: string[], answers: boolean) => ({
    look: tool({
      description: 'Looks',
      input: { type: 'object' },
      kind: 'read',
      execute: (_, { callId }) => {
        made.push(callId);
        return answers ? 'seen' : new Promise(() => {});
      },
    }),
  });
  const [first, second]: [string[], string[]] = [[], []];
  const gone = story.stack.client({ tools: tools(first, false) });
  const session = await gone.sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.tools({ name: 'look', args: {} });
  await call.finish('tool_calls');
  for await (const event of session.events({ from: 'start' })) if (event.type === 'tool.requested') break;
  gone.close();
  const here = story.stack.client({ tools: tools(second, true) });
  const again = await here.sessions.get(session.id);
  const next = await story.provider.next();
  expect(conversationOf(next).at(-1)).toMatchObject({ content: 'seen' });
  await next.finish();
  expect(second).toHaveLength(1);
  expect(second).toEqual(first.length === 0 ? second : first);
  run.finished().catch(() => {});
  for await (const event of again.events({ from: 'start' })) if (event.type === 'run.finished') break;
});

it('a client that watches without the tool leaves it to the one that has it', async () => {
  const made: string[] = [];
  const one = tool({
    description: 'x',
    input: { type: 'object' },
    kind: 'read',
    execute: () => {
      made.push('one');
      return 'one';
    },
  });
  const other = tool({
    description: 'y',
    input: { type: 'object' },
    kind: 'read',
    execute: () => {
      made.push('other');
      return 'other';
    },
  });
  const owner = await story.stack.client({ tools: { one } }).sessions.create();
  await story.stack.client({ tools: { other } }).sessions.get(owner.id);
  const run = owner.send('go');
  const call = await story.provider.next();
  await call.tools({ name: 'one', args: {} }, { name: 'other', args: {} });
  await call.finish('tool_calls');
  const next = await story.provider.next();
  expect(conversationOf(next).slice(-2)).toMatchObject([{ content: 'one' }, { content: 'other' }]);
  await next.finish();
  await run.finished();
  expect(made.sort()).toEqual(['one', 'other']);
});

it('a call that waited for its person goes to the window that is open when the person has decided', async () => {
  const made: string[] = [];
  const tools = (name: string) => ({
    act: tool({ description: 'Acts', input: { type: 'object' }, execute: () => void made.push(name) }),
  });
  const before = story.stack.client({ tools: tools('before') });
  const session = await before.sessions.create();
  const run = session.send('go');
  const call = await story.provider.next();
  await call.tools({ name: 'act', args: {} });
  await call.finish('tool_calls');
  let callId = '';
  for await (const event of session.events({ from: 'start' })) {
    if (event.type !== 'approval.requested') continue;
    callId = event.approval.callId;
    break;
  }
  run.finished().catch(() => {});
  before.close();
  const after = await story.stack.client({ tools: tools('after') }).sessions.get(session.id);
  await after.decide(callId, { decision: 'allow' });
  await (await story.provider.next()).finish();
  expect(made).toEqual(['after']);
});
