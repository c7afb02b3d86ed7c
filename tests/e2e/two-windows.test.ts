import { afterEach, expect, it } from 'vitest';
import { type Approval, type Session, type ToolKind, tool } from '../../packages/sdk/src/index.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

const tools = (kind: ToolKind) => ({
  act: tool({ description: 'Acts', input: { type: 'object' }, kind, execute: () => 'done' }),
});

const followed: AbortController[] = [];
afterEach(() => {
  for (const follow of followed.splice(0)) follow.abort();
});

/** Has a client follow the session's events: it is there. */
const follow = async (session: Session, clientId: string) => {
  const abort = new AbortController();
  followed.push(abort);
  const response = await fetch(`${story.stack.gateway.url}/api/v1/sessions/${session.id}/events?clientId=${clientId}`, {
    headers: { 'x-internal-auth': keys.gateway },
    signal: abort.signal,
  });
  await response.body?.getReader().read();
};

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
  await follow(session, 'other');
  await announce(session, 'other', 'read');
  expect(await callOnce(session, 'other')).toMatchObject({ name: 'act', kind: 'execute' });
  await announce(session, 'other');
  await announce(session, 'other', 'read');
  expect(await callOnce(session, 'other')).toMatchObject({ kind: 'execute' });
  await announce(session, 'other');
  await story.stack.restartRuntime();
  await follow(session, 'third');
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
