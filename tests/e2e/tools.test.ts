import { expect, it } from 'vitest';
import { z } from 'zod';
import { type ApprovalHandler, type Session, type TrackedSessionEvent, tool } from '../../packages/sdk/src/index.ts';
import { conversationOf } from '../support/fake-provider.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';
import { openAiMistakes } from '../support/wire-rules.ts';

const story = useStory();

/** A client's tools, and what was done with them. */
function makeTools() {
  const done: string[] = [];
  const files = new Map<string, string>();
  const tools = {
    read_file: tool({
      description: 'Reads a file',
      input: z.object({ path: z.string() }),
      kind: 'read',
      resource: 'path',
      execute: ({ path }) => {
        done.push(`read ${path}`);
        return files.get(path) ?? `nothing in ${path}`;
      },
    }),
    write_file: tool({
      description: 'Writes a file',
      input: z.object({ path: z.string(), content: z.string() }),
      kind: 'write',
      resource: 'path',
      execute: ({ path, content }) => {
        done.push(`write ${path}`);
        files.set(path, content);
      },
    }),
    run_command: tool({
      description: 'Runs a command',
      input: z.object({ command: z.string() }),
      kind: 'execute',
      resource: 'command',
      execute: ({ command }) => {
        done.push(`run ${command}`);
        return { exitCode: 0 };
      },
    }),
  };
  return { done, files, tools };
}

async function makeSession(handler?: ApprovalHandler, options: { project?: string } = {}) {
  const made = makeTools();
  const client = story.stack.client({ tools: made.tools });
  const session = await client.sessions.create(options);
  if (handler !== undefined) session.onApproval(handler);
  return { ...made, client, session };
}

const toolCalls = async (session: Session) =>
  (await session.items({ limit: 200 })).items.flatMap(({ toolCall }) => (toolCall === undefined ? [] : [toolCall]));

/** The first event of a type from now on. */
async function waitFor<T extends TrackedSessionEvent['type']>(
  session: Session,
  type: T,
  from: 'now' | 'start' = 'start',
) {
  for await (const event of session.events({ from }))
    if (event.type === type) return event as Extract<TrackedSessionEvent, { type: T }>;
  throw new Error('unreachable');
}

/** Once a message waits behind the one that is at work. */
async function queued(session: Session): Promise<void> {
  for await (const event of session.events({ from: 'start' }))
    if (event.type === 'session.state' && event.queued === 1) return;
}

it('runs all the tool calls of a reply in the IDE, and gives the model their results in order', async () => {
  const { session, done } = await makeSession();
  const run = session.send('compare them');
  const first = await story.provider.next();
  expect(first.body.tools.map(({ function: { name } }: { function: { name: string } }) => name).sort()).toEqual([
    'calculator',
    'plan',
    'read_file',
    'read_result',
    'run_command',
    'switch_agent',
    'write_file',
  ]);
  await first.text('I look. ');
  await first.tools(
    { name: 'read_file', args: { path: 'a' } },
    { name: 'read_file', args: { path: 'b' } },
    { name: 'calculator', args: { expression: '2 * (3 + 4)' } },
  );
  await first.finish('tool_calls');
  const second = await story.provider.next();
  const [, said, ...results] = conversationOf(second) as Array<{ tool_calls: Array<{ id: string }>; content: string }>;
  expect(said).toMatchObject({ role: 'assistant', content: 'I look. ' });
  expect(results).toMatchObject([
    { role: 'tool', tool_call_id: said?.tool_calls[0]?.id, content: 'nothing in a' },
    { role: 'tool', tool_call_id: said?.tool_calls[1]?.id, content: 'nothing in b' },
    { role: 'tool', tool_call_id: said?.tool_calls[2]?.id, content: '14' },
  ]);
  await second.text('The same.');
  await second.finish();
  expect(await run.finished()).toMatchObject({ status: 'completed', text: 'I look. The same.' });
  expect(done.sort()).toEqual(['read a', 'read b']);
  expect(await session.usage()).toMatchObject({ steps: 2, usage: { inputTokens: 6, outputTokens: 10 } });
});

it('asks before it writes: an edited call is made as edited, a rejected one is not, and the model is told why', async () => {
  const { session, done, files } = await makeSession(({ arguments: args }) =>
    args.path === 'a'
      ? { decision: 'edit', arguments: { path: 'a', content: 'edited' } }
      : { decision: 'reject', feedback: 'b is not yours' },
  );
  const run = session.send('write them');
  const first = await story.provider.next();
  await first.tools(
    { name: 'write_file', args: { path: 'a', content: 'one' } },
    { name: 'write_file', args: { path: 'b', content: 'two' } },
  );
  await first.finish('tool_calls');
  const second = await story.provider.next();
  expect(conversationOf(second).slice(2)).toMatchObject([
    { role: 'tool', content: 'Done.' },
    { role: 'tool', content: expect.stringContaining('b is not yours') },
  ]);
  // The model sees what was really done.
  expect(JSON.stringify(conversationOf(second)[1])).toContain('edited');
  await second.finish();
  await run.finished();
  expect(done).toEqual(['write a']);
  expect(files.get('a')).toBe('edited');
  expect(await toolCalls(session)).toMatchObject([
    { outcome: 'succeeded', arguments: { content: 'edited' } },
    { outcome: 'rejected' },
  ]);
  const { items } = await session.items();
  expect(items.find(({ kind }) => kind === 'file_change')?.fileChange?.changes).toMatchObject([{ path: 'a' }]);
});

it('remembers a yes for the session or the project, and asks no more', async () => {
  let asked = 0;
  const handler: ApprovalHandler = () => {
    asked++;
    return { decision: 'allow', scope: 'project' };
  };
  const { session, done, client } = await makeSession(handler, { project: 'p' });
  for (const [index, on] of [session, await client.sessions.create({ project: 'p' })].entries()) {
    const run = on.send('write');
    const call = await story.provider.next();
    await call.tools({ name: 'write_file', args: { path: `f${index}`, content: '' } });
    await call.finish('tool_calls');
    await (await story.provider.next()).finish();
    await run.finished();
  }
  expect(asked).toBe(1);
  expect(done).toEqual(['write f0', 'write f1']);
  const [rule] = await session.rules.list();
  expect(rule).toMatchObject({ scope: 'project', tool: 'write_file', resource: '**', effect: 'allow' });
  await session.rules.delete(rule?.ruleId ?? '');
  expect(await session.rules.list()).toEqual([]);
});

it('a deny rule wins over everything: nobody is asked, and the model is told', async () => {
  const { session, done } = await makeSession(() => ({ decision: 'allow' }));
  await session.rules.add({ tool: 'write_file', effect: 'allow' });
  await session.rules.add({ tool: '*_file', resource: 'secret/**', effect: 'deny' });
  const run = session.send('write');
  const call = await story.provider.next();
  await call.tools(
    { name: 'write_file', args: { path: 'x/../secret/key', content: '' } },
    { name: 'write_file', args: { path: 'open', content: '' } },
  );
  await call.finish('tool_calls');
  const next = await story.provider.next();
  expect(conversationOf(next)[2]).toMatchObject({ content: expect.stringContaining('A rule denies') });
  await next.finish();
  await run.finished();
  expect(done).toEqual(['write open']);
});

it('an approval survives restarts, however many, is shown again, and the first decision wins', async () => {
  const { session, done } = await makeSession();
  const run = session.send('write');
  const call = await story.provider.next();
  await call.tools({ name: 'run_command', args: { command: 'make' } });
  await call.finish('tool_calls');
  const { approval } = await waitFor(session, 'approval.requested');
  for (let times = 0; times < 7; times++) await story.stack.restartRuntime();
  // A newcomer is shown it, without a word from the model.
  const other = await story.stack.client().sessions.get(session.id);
  expect((await waitFor(other, 'approval.requested', 'now')).approval).toEqual(approval);
  expect(await other.approvals()).toEqual([approval]);
  await session.decide(approval.callId, { decision: 'allow' });
  await session.decide(approval.callId, { decision: 'allow' });
  await expect(other.decide(approval.callId, { decision: 'reject' })).rejects.toMatchObject({
    code: 'APPROVAL_ALREADY_RESOLVED',
  });
  const next = await story.provider.next();
  expect(conversationOf(next)[2]).toMatchObject({ content: '{"exitCode":0}' });
  await next.text('made');
  await next.finish();
  expect(await run.finished()).toMatchObject({ status: 'completed' });
  expect(done).toEqual(['run make']);
  expect(story.provider.calls).toHaveLength(2);
});

it('a message can steer the run that is at work, or interrupt it', async () => {
  const { session } = await makeSession();
  const run = session.send('look');
  const first = await story.provider.next();
  const steer = session.send('and at b', { whenBusy: 'steer' });
  await queued(session);
  await first.tools({ name: 'read_file', args: { path: 'a' } });
  await first.finish('tool_calls');
  const second = await story.provider.next();
  expect(conversationOf(second).map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'user']);
  expect(conversationOf(second).at(-1)).toMatchObject({ content: 'and at b' });
  await second.text('seen');
  const interrupt = session.send('stop that', { whenBusy: 'interrupt' });
  await second.aborted;
  expect(await run.finished()).toMatchObject({ status: 'cancelled' });
  expect(await steer.finished()).toMatchObject({ status: 'cancelled', text: 'seen' });
  const third = await story.provider.next();
  expect(conversationOf(third).at(-1)).toMatchObject({ content: 'stop that' });
  await third.text('stopped');
  await third.finish();
  expect(await interrupt.finished()).toMatchObject({ status: 'completed', text: 'stopped' });
});

it('a message that steers while the model says its last word is answered all the same', async () => {
  const { session } = await makeSession();
  const run = session.send('one');
  const first = await story.provider.next();
  const steer = session.send('two', { whenBusy: 'steer' });
  await queued(session);
  await first.text('1');
  await first.finish();
  const second = await story.provider.next();
  expect(conversationOf(second)).toMatchObject([{ content: 'one' }, { content: '1' }, { content: 'two' }]);
  await second.text('2');
  await second.finish();
  expect((await run.finished()).runId).toBe((await steer.finished()).runId);
});

it('a message that steers in the moment in which the run begins gets its answer, and its place after what was asked', async () => {
  const { session } = await makeSession();
  for (let round = 0; round < 10; round++) {
    const run = session.send(`one ${round}`);
    // At once: the run may be about to begin, or have begun.
    const steer = session.send(`two ${round}`, { whenBusy: 'steer' });
    const first = await story.provider.next();
    const seen = conversationOf(first).map(({ content }) => content);
    await first.text('1');
    await first.finish();
    if (!seen.includes(`two ${round}`)) {
      const second = await story.provider.next();
      expect(conversationOf(second).slice(-3)).toMatchObject([
        { content: `one ${round}` },
        { content: '1' },
        { content: `two ${round}` },
      ]);
      await second.finish();
    }
    expect(await run.finished()).toMatchObject({ status: 'completed' });
    expect(await steer.finished()).toMatchObject({ status: 'completed' });
  }
});

it('a cancel closes every open call and approval, and the history stays valid', async () => {
  const { session } = await makeSession();
  let release = () => {};
  const slow = story.stack.client({
    tools: {
      slow: tool({
        description: 'Never ends',
        input: { type: 'object' },
        kind: 'read',
        execute: (_, { signal }) =>
          new Promise((resolve) => {
            release = () => resolve('late');
            signal.addEventListener('abort', () => resolve('stopped'));
          }),
      }),
    },
  });
  await slow.sessions.get(session.id);
  const run = session.send('go');
  const call = await story.provider.next();
  await call.tools({ name: 'slow', args: {} }, { name: 'run_command', args: { command: 'x' } });
  await call.finish('tool_calls');
  await waitFor(session, 'tool.requested');
  const { approval } = await waitFor(session, 'approval.requested');
  await run.cancel();
  expect(await run.finished()).toMatchObject({ status: 'cancelled' });
  release();
  expect(await toolCalls(session)).toMatchObject([{ outcome: 'cancelled' }, { outcome: 'cancelled' }]);
  expect(await session.approvals()).toEqual([]);
  await expect(session.decide(approval.callId, { decision: 'allow' })).rejects.toMatchObject({
    code: 'APPROVAL_ALREADY_RESOLVED',
  });
  const types: string[] = [];
  for await (const event of session.events({ from: 'start' })) {
    types.push(event.type);
    if (event.type === 'stream.synced') break;
  }
  const end = types.indexOf('run.finished');
  expect(types.lastIndexOf('item.completed')).toBeLessThan(end);
  expect(types.lastIndexOf('approval.resolved')).toBeLessThan(end);
  expect(types.filter((type) => type === 'run.finished')).toHaveLength(1);
  const next = session.send('again');
  const again = await story.provider.next();
  expect(conversationOf(again).map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'tool', 'user']);
  await again.finish();
  await next.finished();
});

it('what the model gets wrong goes back to it: an unknown tool, wrong arguments, broken JSON, the same call for ever', async () => {
  const { session, done } = await makeSession();
  const run = session.send('go');
  const first = await story.provider.next();
  await first.tools(
    { name: 'no_such_tool', args: {} },
    { name: 'read_file', args: { path: 7 } },
    { name: 'read_file', args: '{"path": "a' },
  );
  await first.finish('tool_calls');
  const second = await story.provider.next();
  expect(conversationOf(second).slice(2)).toMatchObject([
    { content: expect.stringContaining('There is no tool "no_such_tool"') },
    { content: expect.stringContaining('path must be string') },
    { content: expect.stringContaining('not valid JSON') },
  ]);
  const { tool_calls: written } = conversationOf(second)[1] as {
    tool_calls: Array<{ function: { arguments: string } }>;
  };
  for (const { function: made } of written) expect(typeof JSON.parse(made.arguments)).toBe('object');
  let next = second;
  for (let times = 1; times <= 7; times++) {
    await next.tools({ name: 'read_file', args: { path: 'a' } });
    await next.finish('tool_calls');
    if (times < 7) next = await story.provider.next();
  }
  expect(await run.finished()).toMatchObject({ status: 'limit' });
  expect(done).toEqual(['read a', 'read a', 'read a']);
  const { items } = await session.items();
  expect(items.at(-1)).toMatchObject({ kind: 'notice', text: expect.stringContaining('same call') });
});

it('results come once, for calls that are open: everything else is a clear error', async () => {
  const { session } = await makeSession();
  const post = async (path: string, body: object) => {
    const response = await fetch(`${story.stack.gateway.url}/api/v1/sessions/${session.id}${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer test-key-of-the-gateway' },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as { error?: { code: string }; replayed?: boolean };
    return answer.error?.code ?? answer.replayed;
  };
  await fetch(`${story.stack.gateway.url}/api/v1/sessions/${session.id}/tools`, {
    method: 'PUT',
    headers: { authorization: 'Bearer test-key-of-the-gateway' },
    body: JSON.stringify({
      clientId: 'by-hand',
      tools: [
        { name: 'by_hand', inputSchema: { type: 'object' }, kind: 'read' },
        { name: 'by_hand_too', inputSchema: { type: 'object' } },
      ],
    }),
  });
  const run = session.send('go');
  const call = await story.provider.next();
  await call.tools({ name: 'by_hand', args: {} }, { name: 'by_hand_too', args: {} });
  await call.finish('tool_calls');
  const { callId } = await waitFor(session, 'tool.requested');
  const { approval } = await waitFor(session, 'approval.requested');
  expect(await post('/calls/none/result', { result: 1 })).toBe('NOT_FOUND');
  expect(await post(`/calls/${callId}/result`, {})).toBe('VALIDATION');
  expect(await post(`/calls/${approval.callId}/result`, { result: 1 })).toBe('VALIDATION');
  const other = await story.stack.client().sessions.create();
  const elsewhere = await fetch(`${story.stack.gateway.url}/api/v1/sessions/${other.id}/calls/${callId}/result`, {
    method: 'POST',
    headers: { authorization: 'Bearer test-key-of-the-gateway' },
    body: '{"result":1}',
  });
  expect(elsewhere.status).toBe(404);
  const large = await fetch(`${story.stack.gateway.url}/api/v1/sessions/${session.id}/calls/${callId}/result`, {
    method: 'POST',
    headers: { authorization: 'Bearer test-key-of-the-gateway' },
    body: JSON.stringify({ result: 'x'.repeat(20_000_000) }),
  });
  expect(large.status).toBe(413);
  expect(await post(`/calls/${callId}/result`, { result: { a: 1 } })).toBe(false);
  expect(await post(`/calls/${callId}/result`, { result: { a: 1 } })).toBe(true);
  expect(await post(`/calls/${callId}/result`, { result: { a: 2 } })).toBe('TOOL_CALL_FINISHED');
  expect(await post(`/approvals/${approval.callId}`, { decision: 'edit' })).toBe('VALIDATION');
  expect(await post(`/approvals/${approval.callId}`, { decision: 'reject' })).toBe(false);
  await (await story.provider.next()).finish();
  await run.finished();
});

it('a large result is shortened for the model, which can read the rest', async () => {
  const { session, files } = await makeSession();
  const content = `begin ${'x'.repeat(100_000)} end`;
  files.set('large', content);
  const run = session.send('read');
  const first = await story.provider.next();
  await first.tools({ name: 'read_file', args: { path: 'large' } });
  await first.finish('tool_calls');
  const second = await story.provider.next();
  const shown = conversationOf(second)[2]?.content as string;
  expect(shown.length).toBeLessThan(40_000);
  expect(shown).toMatch(/^begin x/);
  expect(shown).toMatch(/x end$/);
  const resultId = (await toolCalls(session))[0]?.resultId ?? '';
  expect(shown).toContain(resultId);
  await second.tools({ name: 'read_result', args: { result_id: resultId, offset: 99_000, limit: 2_000 } });
  await second.finish('tool_calls');
  const third = await story.provider.next();
  expect(conversationOf(third).at(-1)?.content).toContain(`${content.slice(99_000)}\n[characters 99000 to`);
  await third.finish();
  await run.finished();
  expect(await session.readResult(resultId, { limit: 10 })).toEqual({
    text: content.slice(0, 10),
    length: content.length,
  });
});

it('the model hands over to another agent, which has its own prompt, tools and rules, and all that was said', async () => {
  const { session, done } = await makeSession(() => ({ decision: 'allow' }));
  const run = session.send('document it');
  const first = await story.provider.next();
  await first.tools({ name: 'switch_agent', args: { agent: 'architect', reason: 'a document' } });
  await first.finish('tool_calls');
  const second = await story.provider.next();
  expect(second.body.messages[0].content).toContain('software architect');
  expect(conversationOf(second)).toHaveLength(3);
  await second.tools(
    { name: 'write_file', args: { path: 'src/x.ts', content: '' } },
    { name: 'write_file', args: { path: 'docs/x.md', content: '' } },
  );
  await second.finish('tool_calls');
  const third = await story.provider.next();
  expect(conversationOf(third).slice(-2)).toMatchObject([
    { content: expect.stringContaining('denies') },
    { content: 'Done.' },
  ]);
  await third.finish();
  await run.finished();
  expect(done).toEqual(['write docs/x.md']);
  await session.switchAgent('ask', 'just a question');
  const question = session.send('why?');
  const fourth = await story.provider.next();
  expect(fourth.body.messages[0].content).toContain('You answer questions');
  expect(JSON.stringify(fourth.body.tools)).not.toContain('write_file');
  await fourth.finish();
  await question.finished();
  const { items } = await session.items();
  expect(items.flatMap(({ agentSwitch }) => agentSwitch ?? [])).toMatchObject([
    { from: 'orchestrator', to: 'architect', by: 'model' },
    { from: 'architect', to: 'ask', by: 'user' },
  ]);
  await expect(session.switchAgent('nobody')).rejects.toMatchObject({ code: 'VALIDATION' });
});

it('a patch is shown in hunks, and those that the person leaves out are not applied', async () => {
  const made: string[] = [];
  const client = story.stack.client({
    tools: {
      apply_patch: tool({
        description: 'Applies a patch',
        input: z.object({ patch: z.string() }),
        kind: 'write',
        execute: ({ patch }) => void made.push(patch),
      }),
    },
  });
  const session = await client.sessions.create();
  session.onApproval(({ changes }) => {
    expect(changes).toMatchObject([
      { path: 'a.txt', change: 'modify', hunks: [{ hunk: 0 }, { hunk: 1 }] },
      { path: 'b.txt', change: 'create', hunks: [{ hunk: 2, lines: ['+new'] }] },
    ]);
    return { decision: 'allow', dropHunks: [0] };
  });
  const run = session.send('patch');
  const call = await story.provider.next();
  const patch = [
    '--- a/a.txt',
    '+++ b/a.txt',
    '@@ -1,2 +1,3 @@',
    ' one',
    '+one and a half',
    ' two',
    '@@ -9,2 +10,2 @@',
    ' nine',
    '-ten',
    '+TEN',
    '--- /dev/null',
    '+++ b/b.txt',
    '@@ -0,0 +1,1 @@',
    '+new',
    '',
  ].join('\n');
  await call.tools({ name: 'apply_patch', args: { patch } });
  await call.finish('tool_calls');
  await (await story.provider.next()).finish();
  await run.finished();
  expect(made).toHaveLength(1);
  expect(made[0]).not.toContain('half');
  expect(made[0]).toContain('@@ -9,2 +9,2 @@');
  expect(made[0]).toContain('+new');
});

it('a fork has what was said up to an item, and goes its own way', async () => {
  const { session } = await makeSession();
  for (const [question, answer] of [
    ['one', '1'],
    ['two', '2'],
  ] as const) {
    const run = session.send(question);
    const call = await story.provider.next();
    await call.text(answer);
    await call.finish();
    await run.finished();
  }
  const { items } = await session.items();
  const fork = await session.fork({ itemId: items[1]?.itemId ?? '', sessionId: 'the-fork' });
  expect((await session.fork({ itemId: items[1]?.itemId ?? '', sessionId: 'the-fork' })).id).toBe(fork.id);
  const run = fork.send('three');
  const call = await story.provider.next();
  expect(conversationOf(call).map(({ content }) => content)).toEqual(['one', '1', 'three']);
  await call.finish();
  await run.finished();
  expect((await session.items()).items).toHaveLength(4);
  expect(fork.info.forkedFrom).toMatchObject({ sessionId: session.id });
});

it('a fork begins with the rules of the original, and what becomes of them then is its own affair', async () => {
  const { session } = await makeSession();
  await session.rules.add({ tool: 'write_file', effect: 'allow' });
  await session.rules.add({ tool: 'write_file', resource: 'secret/**', effect: 'deny' });
  const before = await session.rules.list();
  const fork = await session.fork();
  const copied = await fork.rules.list();
  expect(copied).toMatchObject(before.map(({ tool, resource, effect }) => ({ tool, resource, effect })));
  expect(await fork.rules.add({ tool: 'write_file', effect: 'allow' })).toMatchObject({ ruleId: copied[0]?.ruleId });
  for (const { ruleId } of before) await fork.rules.delete(ruleId);
  expect(await fork.rules.list()).toHaveLength(2);
  for (const { ruleId } of copied) await fork.rules.delete(ruleId);
  expect(await fork.rules.list()).toEqual([]);
  expect(await session.rules.list()).toEqual(before);
});

it('a call that the provider cut off is not made: the model is told, and does it in parts', async () => {
  const { session, done } = await makeSession(() => ({ decision: 'allow' }));
  const run = session.send('write');
  const whole = { name: 'write_file', args: { path: 'whole', content: '' } };
  for (const cut of [[{ name: 'write_file', args: '' }], [whole, { name: 'write_file', args: '{"path":"a","cont' }]]) {
    const call = await story.provider.next();
    await call.tools(...cut);
    await call.finish('length');
  }
  const call = await story.provider.next();
  expect(openAiMistakes(call.body)).toEqual([]);
  const results = conversationOf(call).filter(({ role }) => role === 'tool');
  expect(results.map(({ content }) => content)).toEqual(Array(3).fill(expect.stringContaining('was not made')));
  await call.tools({ name: 'write_file', args: { path: 'b', content: '' } });
  await call.finish('tool_calls');
  for (let times = 1; times <= 3; times++) {
    const next = await story.provider.next();
    await next.tools({ name: 'write_file', args: `{"path":"${times}` });
    await next.finish('length');
  }
  expect(await run.finished()).toMatchObject({ status: 'limit' });
  expect(done).toEqual(['write b']);
  const { items } = await session.items();
  expect(items.at(-1)).toMatchObject({ kind: 'notice', text: expect.stringContaining('cut off 3 times') });
  expect(items.filter(({ kind, status }) => kind === 'tool_call' && status === 'incomplete')).toHaveLength(6);
});

it('a call of an answer that the provider filtered is not made, and the run fails', async () => {
  const { session, done } = await makeSession(() => ({ decision: 'allow' }));
  const run = session.send('write');
  const call = await story.provider.next();
  await call.tools({ name: 'write_file', args: { path: 'a', content: '' } });
  await call.finish('content_filter');
  await expect(run.finished()).rejects.toMatchObject({ code: 'CONTENT_FILTERED' });
  expect(done).toEqual([]);
  expect((await session.items()).items.at(-1)?.toolCall).toMatchObject({
    outcome: 'cancelled',
    result: expect.stringContaining('was not made'),
  });
});

it('a fork takes a message that the original had, as a new one, and has the files of those that it copied', async () => {
  const { session } = await makeSession();
  const file = (text: string) => ({ attachments: [{ name: 'a.txt', mimeType: 'text/plain', text }] });
  const answer = async (): Promise<string> => {
    const call = await story.provider.next();
    await call.text('ok');
    await call.finish();
    return JSON.stringify(conversationOf(call).map(({ content }) => content));
  };
  for (const [inputId, content] of [
    ['i0', 'zero'],
    ['i1', 'one'],
  ] as const) {
    const run = session.send(content, { inputId, ...file(`file of ${content}`) });
    await answer();
    await run.finished();
  }
  const { items } = await session.items();
  const fork = await session.fork({ itemId: items[1]?.itemId ?? '' });
  for (const inputId of ['i1', 'i0']) {
    const run = fork.send('one', { inputId, ...file('file of the fork') });
    const told = await answer();
    expect(told).toContain('file of zero');
    expect(told).toContain('file of the fork');
    expect(told).not.toContain('file of one');
    expect(await run.finished()).toMatchObject({ status: 'completed', text: 'ok' });
  }
  const copy = await fork.fork();
  await story.stack.restartRuntime();
  for (const again of [fork, copy]) {
    const run = again.send('and now?');
    const told = await answer();
    expect(told.match(/file of \w+/g)).toEqual(['file of zero', 'file of the', 'file of the']);
    await run.finished();
  }
});

it('arguments and results are nested at most 200 deep, whoever sends them', async () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  const session = await story.stack.client().sessions.create();
  const post = async (path: string, body: string, method = 'POST') => {
    const response = await fetch(`${story.stack.gateway.url}/api/v1/sessions/${session.id}${path}`, {
      method,
      headers: { 'x-internal-auth': keys.gateway, 'content-type': 'application/json' },
      body,
    });
    const { error } = (await response.json()) as { error?: { code: string } };
    return error?.code ?? response.status;
  };
  const act = { name: 'act', inputSchema: { type: 'object' }, kind: 'write' };
  await post('/tools', JSON.stringify({ clientId: 'one', tools: [act] }), 'PUT');
  const run = session.send('go');
  const first = await story.provider.next();
  await first.tools({ name: 'act', args: `{"x":${nested(250)}}` }, { name: 'act', args: '{}' });
  await first.finish('tool_calls');
  const { approval } = await waitFor(session, 'approval.requested');
  const edit = (depth: number) =>
    post(`/approvals/${approval.callId}`, `{"decision":"edit","arguments":{"x":${nested(depth - 1)}}}`);
  const result = (depth: number) => post(`/calls/${approval.callId}/result`, `{"result":${nested(depth)}}`);
  expect([await edit(480), await edit(201), await edit(200)]).toEqual(['VALIDATION', 'VALIDATION', 200]);
  expect([await result(480), await result(201), await result(200)]).toEqual(['VALIDATION', 'VALIDATION', 200]);
  const next = await story.provider.next();
  const [tooDeep, asDeep] = conversationOf(next).slice(-2);
  expect(tooDeep?.content).toContain('more than 200 levels deep');
  expect(asDeep?.content).toBe(nested(200));
  await next.finish();
  await run.finished();
});
