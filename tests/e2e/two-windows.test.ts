import { expect, it } from 'vitest';
import { type Approval, type Session, type ToolKind, tool } from '../../packages/sdk/src/index.ts';
import { conversationOf } from '../support/fake-provider.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

const tools = (kind: ToolKind, execute: () => unknown = () => 'done') => ({
  act: tool({ description: 'Acts', input: { type: 'object' }, kind, execute }),
});

const announce = async (session: Session, clientId: string, kind?: ToolKind) => {
  const response = await fetch(`${story.stack.gateway.url}/api/v1/sessions/${session.id}/tools`, {
    method: 'PUT',
    headers: { 'x-internal-auth': keys.gateway },
    body: JSON.stringify({
      clientId,
      tools: kind === undefined ? [] : [{ name: 'act', inputSchema: { type: 'object' }, kind }],
    }),
  });
  expect(response.status).toBe(200);
};

/** Lets the model make a call, which `by` answers; resolves with the approval that was asked for, if one was. */
async function callOnce(session: Session, by: string): Promise<Approval | undefined> {
  let asked: Approval | undefined;
  const run = session.send('go');
  const first = await story.provider.next();
  await first.tools({ name: 'act', args: {} });
  await first.finish('tool_calls');
  for await (const event of run.events) {
    if (event.type === 'item.completed' && event.item.kind === 'tool_call') break;
    if (event.type === 'item.started' && event.item.kind === 'tool_call') {
      for await (const later of session.events({ lastEventId: event.id })) {
        if (later.type === 'approval.requested') {
          asked = later.approval;
          await session.decide(asked.callId, { decision: 'allow' });
        }
        if (later.type !== 'tool.requested') continue;
        expect(later.clientId).toBe(by);
        const result = await fetch(
          `${story.stack.gateway.url}/api/v1/sessions/${session.id}/calls/${later.callId}/result`,
          { method: 'POST', headers: { 'x-internal-auth': keys.gateway }, body: '{"result":"done"}' },
        );
        expect(result.status).toBe(200);
        break;
      }
    }
  }
  await (await story.provider.next()).finish();
  await run.finished();
  return asked;
}

it('a tool that another window announces as more harmless asks all the same, also after it was taken back, and after a restart', async () => {
  const session = await story.stack.client({ tools: tools('execute') }).sessions.create();
  await announce(session, 'other', 'read');
  expect(await callOnce(session, 'other')).toMatchObject({ name: 'act', kind: 'execute' });
  await announce(session, 'other');
  await announce(session, 'other', 'read');
  expect(await callOnce(session, 'other')).toMatchObject({ kind: 'execute' });
  await announce(session, 'other');
  await story.stack.restartRuntime();
  await announce(session, 'third', 'write');
  expect(await callOnce(session, 'third')).toMatchObject({ kind: 'execute' });
});

it('a window may say otherwise of its own tools, and be stricter than another', async () => {
  const session = await story.stack.client().sessions.create();
  await announce(session, 'one', 'execute');
  await announce(session, 'one', 'read');
  expect(await callOnce(session, 'one')).toBeUndefined();
  await announce(session, 'other', 'delete');
  expect(await callOnce(session, 'other')).toMatchObject({ kind: 'delete' });
});

it('a call that moves to another window is seen to move, by the one that had it too, and the first result counts', async () => {
  const results: Array<(text: string) => void> = [];
  const wait = () => new Promise<string>((resolve) => results.push(resolve));
  const one = await story.stack.client({ tools: tools('read', wait) }).sessions.create();
  const seen: Array<string | undefined> = [];
  const moved = (async () => {
    for await (const event of one.events({ from: 'start' })) {
      if (event.type === 'tool.requested') seen.push(event.clientId);
      if (event.type === 'tool.finished') return;
    }
  })();
  const run = one.send('go');
  const first = await story.provider.next();
  await first.tools({ name: 'act', args: {} });
  await first.finish('tool_calls');
  for await (const event of one.events({ from: 'start' })) if (event.type === 'tool.requested') break;
  const other = await story.stack.client({ tools: tools('read', () => 'from the other') }).sessions.get(one.id);
  const next = await story.provider.next();
  expect(conversationOf(next).at(-1)).toMatchObject({ content: 'from the other' });
  for (const resolve of results) resolve('too late');
  await next.finish();
  await run.finished();
  await moved;
  expect(seen).toHaveLength(2);
  expect(seen[0]).not.toBe(seen[1]);
  expect((await other.items()).items.flatMap(({ toolCall }) => toolCall?.result ?? [])).toEqual(['from the other']);
});
