import { expect, it } from 'vitest';
import { SessionEvent } from '../../packages/protocol/src/index.ts';
import { type DescribedClient, describedClient, eventChecker } from '../support/described.ts';
import type { FakeProvider } from '../support/fake-provider.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

const PATCH = '--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+two\n';
const inSession = '/api/v1/sessions/{sessionId}';

const checkEvent = eventChecker();

/** The events of a session as they come, each one checked against the document, and against the schema that the SDK ships. */
function follow(client: DescribedClient, sessionId: string) {
  // biome-ignore lint/suspicious/noExplicitAny: events are looked into by the test
  const seen: any[] = [];
  const waiting = new Set<() => void>();
  const stream = client.events(`GET ${inSession}/events`, { sessionId, from: 'start' });
  const read = (async () => {
    for await (const event of stream) {
      checkEvent(event);
      seen.push(event);
      for (const wake of waiting) wake();
    }
  })();
  let failure: unknown;
  read.catch((error) => {
    failure = error;
    for (const wake of waiting) wake();
  });
  return {
    seen,
    /** The first event of that type that `wanted` takes. */
    // biome-ignore lint/suspicious/noExplicitAny: events are looked into by the test
    async until(type: SessionEvent['type'], wanted: (event: any) => boolean = () => true): Promise<any> {
      for (;;) {
        if (failure !== undefined) throw failure;
        const found = seen.find((event) => event.type === type && wanted(event));
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
    },
  };
}

const toolsOfClient = [
  {
    name: 'read_file',
    description: 'Reads',
    inputSchema: { type: 'object', properties: { path: { type: 'string' } } },
    kind: 'read',
    resource: 'path',
  },
  { name: 'write_file', inputSchema: { type: 'object' }, kind: 'write', resource: 'path', timeoutMs: 60_000 },
  { name: 'apply_patch', inputSchema: { type: 'object' }, kind: 'write' },
];

const sessionId = 'story';

/** Joins who tells the story with what was seen of it. */
type Telling = ReturnType<typeof follow> & { client: DescribedClient; provider: FakeProvider };

/** Returns how the client of the story answers calls and approvals. */
function answersOf({ client }: Telling) {
  const path = (callId: string, given: object) => ({ sessionId, callId, ...given });
  return {
    result: (callId: string, given: object) =>
      client.call(`POST ${inSession}/calls/{callId}/result`, path(callId, given)),
    resultRefused: (callId: string, given: object) =>
      client.refused(`POST ${inSession}/calls/{callId}/result`, path(callId, given)),
    decide: (callId: string, given: object) => client.call(`POST ${inSession}/approvals/{callId}`, path(callId, given)),
    decideRefused: (callId: string, given: object) =>
      client.refused(`POST ${inSession}/approvals/{callId}`, path(callId, given)),
  };
}

/** A step that is asked for again, thinks, plans, and reads a file in the IDE. */
async function read(telling: Telling): Promise<void> {
  const { client, provider, until } = telling;
  const { result, resultRefused } = answersOf(telling);
  await client.call(`POST ${inSession}/inputs`, {
    sessionId,
    inputId: 'in1',
    content: 'go',
    attachments: [{ name: 'a.txt', mimeType: 'text/plain', text: 'one' }],
  });
  const cut = await provider.next();
  await cut.text('half of an ');
  await until('item.delta');
  cut.response.destroy();
  await until('item.discarded');
  const planning = await provider.next();
  await planning.delta({ reasoning_content: 'hm' });
  await planning.text('Let me see.');
  await planning.tools(
    { name: 'plan', args: { entries: [{ text: 'read', status: 'in_progress' }] } },
    { name: 'read_file', args: { path: 'a.txt' } },
  );
  await planning.finish('tool_calls');
  const reading = await until('tool.requested', ({ name }) => name === 'read_file');
  await client.call(`POST ${inSession}/calls/{callId}/progress`, {
    sessionId,
    callId: reading.callId,
    message: 'half',
    fraction: 0.5,
  });
  await until('tool.progress');
  await result(reading.callId, { result: { deep: [null, 1, true, { a: 'x'.repeat(40_000) }] } });
  expect(await resultRefused(reading.callId, { error: 'no' })).toEqual({ code: 'TOOL_CALL_FINISHED', status: 409 });
  const { item } = await until('item.completed', (event) => event.item.toolCall?.resultId !== undefined);
  await client.call(`GET ${inSession}/results/{resultId}`, {
    sessionId,
    resultId: item.toolCall.resultId,
    offset: 5,
    limit: 10,
  });
}

/** A step whose calls a person decides on. */
async function write(telling: Telling): Promise<void> {
  const { client, provider, until } = telling;
  const { result, decide, decideRefused } = answersOf(telling);
  const writing = await provider.next();
  await writing.tools({ name: 'write_file', args: { path: 'b.txt' } }, { name: 'apply_patch', args: { patch: PATCH } });
  await writing.finish('tool_calls');
  const asked = await until('approval.requested', ({ approval }) => approval.name === 'write_file');
  expect((await client.call(`GET ${inSession}/approvals`, { sessionId })).approvals.length).toBeGreaterThan(0);
  const changes = [{ path: 'b.txt', change: 'modify', hunks: [], omitted: 'binary' }];
  const foreseen = { sessionId, callId: asked.approval.callId, clientId: 'c1', changes };
  await client.call(`PUT ${inSession}/approvals/{callId}/changes`, foreseen);
  expect(await until('approval.updated')).toMatchObject({ callId: asked.approval.callId, changes });
  await decide(asked.approval.callId, { decision: 'edit', arguments: { path: 'c.txt' }, scope: 'project', by: 'me' });
  const otherwise = await decideRefused(asked.approval.callId, { decision: 'reject' });
  expect(otherwise.code).toBe('APPROVAL_ALREADY_RESOLVED');
  await until('tool.requested', ({ name }) => name === 'write_file');
  await result(asked.approval.callId, { error: 'the disk is full' });
  const patch = await until('approval.requested', ({ approval }) => approval.name === 'apply_patch');
  expect(patch.approval.changes).toHaveLength(1);
  await decide(patch.approval.callId, { decision: 'allow' });
  await until('tool.requested', ({ name }) => name === 'apply_patch');
  await result(patch.approval.callId, { result: 'done' });
  await until('item.completed', (event) => event.item.kind === 'file_change');
}

/** Messages that wait, are taken back, fail and are cancelled. */
async function sendMore({ client, provider, until }: Telling): Promise<void> {
  await client.call(`POST ${inSession}/inputs`, { sessionId, inputId: 'in2', content: 'and then' });
  await client.call(`GET ${inSession}/inputs/{inputId}`, { sessionId, inputId: 'in2' });
  await client.call(`POST ${inSession}/inputs/{inputId}/cancel`, { sessionId, inputId: 'in2' });
  await until('input.cancelled');
  const late = await client.refused(`POST ${inSession}/inputs/{inputId}/cancel`, { sessionId, inputId: 'in1' });
  expect(late.code).toBe('INPUT_ALREADY_DELIVERED');
  await client.call(`POST ${inSession}/agent`, { sessionId, agent: 'ask', reason: 'no more changes' });
  const last = await provider.next();
  await last.text('Done.');
  await last.finish();
  const { runId } = await until('run.finished');
  expect((await client.call(`GET ${inSession}/runs/{runId}`, { sessionId, runId })).status).toBe('completed');

  await client.call(`POST ${inSession}/inputs`, { sessionId, inputId: 'in3', content: 'wait' });
  const refused = await provider.next();
  refused.json({ error: { message: 'no', type: 'invalid_request_error', code: 'bad' } }, 400);
  const failed = await until('run.finished', ({ status }) => status === 'failed');
  expect((await client.call(`GET ${inSession}/runs/{runId}`, { sessionId, runId: failed.runId })).error).toBeDefined();
  await client.call(`POST ${inSession}/inputs`, { sessionId, inputId: 'in4', content: 'wait' });
  await provider.next();
  await client.call(`POST ${inSession}/cancel`, { sessionId });
  await until('run.finished', ({ status }) => status === 'cancelled');
}

/** Rules, a reader whose cursor is gone, and what is read of it all. */
async function readBack({ client, seen }: Telling): Promise<void> {
  const rule = { tool: 'read_file', resource: 'x/**', effect: 'deny' };
  const added = await client.call(`POST ${inSession}/rules`, { sessionId, ...rule });
  expect((await client.call(`GET ${inSession}/rules`, { sessionId })).rules).toHaveLength(2);
  await client.call(`DELETE ${inSession}/rules/{ruleId}`, { sessionId, ruleId: added.rule.ruleId });
  for await (const event of client.events(`GET ${inSession}/events`, { sessionId, lastEventId: 'gone-1' })) {
    checkEvent(event);
    seen.push(event);
    if (event.type === 'stream.synced') break;
  }
  const page = await client.call(`GET ${inSession}/items`, { sessionId, limit: 3 });
  await client.call(`GET ${inSession}/items`, { sessionId, cursor: page.nextCursor });
  await client.call(`GET ${inSession}/usage`, { sessionId });
  await client.call(`POST ${inSession}/fork`, { sessionId, newSessionId: 'fork', title: 'Another' });
  expect((await client.call(`GET ${inSession}`, { sessionId: 'fork' })).forkedFrom.sessionId).toBe(sessionId);
  for (const path of ['sessions', 'agents', 'models', 'usage']) await client.call(`GET /api/v1/${path}`);
}

async function sayAsOlderClientsDo({ client }: Telling): Promise<void> {
  await client.call('POST /api/v1/sessions', { sessionId: 'older', model: 'builtin/echo' });
  const message = { session_id: 'older', message: 'hi' };
  expect((await client.call('POST /api/v1/message', message)).message).toBe('You said: hi');
  const frames = [];
  for await (const frame of client.events('POST /api/v1/message', { ...message, stream: true })) frames.push(frame);
  expect(frames.at(-1)).toMatchObject({ is_final: true });
}

it('a whole story over REST is as /openapi.json and the schema of events say, each answer and each event to the last field', async () => {
  const { stack, provider } = story;
  const client = await describedClient(stack);
  const made = await client.call('POST /api/v1/sessions', {
    sessionId,
    title: 'A story',
    metadata: { a: '1' },
    project: '/work',
  });
  expect(made).toMatchObject({ replayed: false, session: { title: 'A story' } });
  const telling: Telling = { ...follow(client, sessionId), client, provider };
  await telling.until('stream.synced');
  await client.call(`PATCH ${inSession}`, { sessionId, title: 'The story' });
  await client.call(`PUT ${inSession}/tools`, { sessionId, clientId: 'c1', tools: toolsOfClient });
  await client.call(`GET ${inSession}/tools`, { sessionId });

  await read(telling);
  await write(telling);
  await sendMore(telling);
  await readBack(telling);
  await sayAsOlderClientsDo(telling);

  expect((await client.refused(`GET ${inSession}`, { sessionId: 'none' })).status).toBe(404);
  expect((await client.refused('GET /api/v1/sessions', { limit: 0 })).status).toBe(400);
  expect((await client.refused('POST /api/v1/sessions', { sessionId, title: 'x' })).status).toBe(409);
  await client.call(`DELETE ${inSession}`, { sessionId });

  expect([...client.called].sort()).toEqual(client.operations.sort());
  const types = SessionEvent.options.map((option) => option.shape.type.value);
  expect([...new Set(telling.seen.map(({ type }) => type))].sort()).toEqual(types.sort());
});
