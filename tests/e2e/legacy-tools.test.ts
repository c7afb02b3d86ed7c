import { on } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { conversationOf } from '../support/fake-provider.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

/** An older client: it speaks frames and nothing else. */
async function connect(sessionId: string) {
  const socket = new WebSocket(`${story.stack.gateway.url.replace('http', 'ws')}/ws/${sessionId}`, {
    headers: { 'x-internal-auth': keys.gateway },
  });
  await new Promise((resolve) => socket.once('open', resolve));
  const messages = on(socket, 'message');
  return {
    socket,
    send: (frame: object) => socket.send(JSON.stringify(frame)),
    next: async () => JSON.parse(String((await messages.next()).value[0])) as Record<string, unknown>,
  };
}

it('several tools in one turn, each approved, edited, rejected or just run, over frames alone', async () => {
  const client = await connect('old-ide');
  client.send({ type: 'user_message', content: 'go', message_id: 'm1' });
  const first = await story.provider.next();
  expect(await client.next()).toEqual({ status: 'received', message_id: 'm1' });
  expect(first.body.tools.map(({ function: { name } }: { function: { name: string } }) => name)).toEqual(
    expect.arrayContaining(['read_file', 'write_file', 'list_files', 'search_in_code', 'apply_patch', 'run_command']),
  );
  await first.text('Well.');
  await first.tools(
    { name: 'read_file', args: { path: 'a' } },
    { name: 'write_file', args: { path: 'b', content: '1' } },
    { name: 'write_file', args: { path: 'c', content: '2' } },
    { name: 'run_command', args: { command: 'rm -rf /' } },
  );
  await first.finish('tool_calls');
  expect(await client.next()).toEqual({ type: 'assistant_message', token: 'Well.', is_final: false });
  const calls = [await client.next(), await client.next(), await client.next(), await client.next()];
  const byName = (name: string, argument: object) =>
    calls.find((frame) => frame.tool_name === name && JSON.stringify(frame.arguments) === JSON.stringify(argument));
  const read = byName('read_file', { path: 'a' });
  const writeB = byName('write_file', { path: 'b', content: '1' });
  const writeC = byName('write_file', { path: 'c', content: '2' });
  const run = byName('run_command', { command: 'rm -rf /' });
  expect(read).toMatchObject({ type: 'tool_call', requires_approval: false });
  for (const frame of [writeB, writeC, run])
    expect(frame).toMatchObject({ type: 'tool_call', requires_approval: true });

  // The last one first: the client needs no order.
  client.send({ type: 'hitl_decision', call_id: run?.call_id, decision: 'reject', feedback: 'not that' });
  client.send({
    type: 'hitl_decision',
    call_id: writeC?.call_id,
    decision: 'edit',
    modified_arguments: { path: 'c', content: 'edited' },
  });
  client.send({ type: 'tool_result', call_id: writeC?.call_id, result: { written: true } });
  client.send({ type: 'hitl_decision', call_id: writeB?.call_id, decision: 'approve' });
  client.send({ type: 'tool_result', call_id: writeB?.call_id, error: 'the disk is full' });
  client.send({ type: 'tool_result', call_id: read?.call_id, result: 'content of a' });
  const second = await story.provider.next();
  expect(conversationOf(second).slice(2)).toMatchObject([
    { content: 'content of a' },
    { content: 'the disk is full' },
    { content: '{"written":true}' },
    { content: expect.stringContaining('not that') },
  ]);
  expect(JSON.stringify(conversationOf(second)[1])).toContain('edited');
  await second.text('Done.');
  await second.finish();
  // What it decided itself it is not told to run once more.
  expect(await client.next()).toEqual({ type: 'assistant_message', token: 'Done.', is_final: false });
  expect(await client.next()).toEqual({ type: 'assistant_message', token: '', is_final: true });

  client.send({ type: 'tool_result', call_id: 'none', result: 1 });
  expect(await client.next()).toMatchObject({ type: 'error', code: 'NOT_FOUND' });
  client.send({ type: 'tool_result', call_id: read?.call_id, result: 'something else' });
  expect(await client.next()).toMatchObject({ type: 'error', code: 'TOOL_CALL_FINISHED' });
  client.send({ type: 'tool_result', call_id: read?.call_id });
  expect(await client.next()).toMatchObject({ type: 'error', code: 'VALIDATION' });
  client.send({ type: 'hitl_decision', call_id: writeB?.call_id, decision: 'reject' });
  expect(await client.next()).toMatchObject({ type: 'error', code: 'APPROVAL_ALREADY_RESOLVED' });
  client.socket.close();
});

it('a reconnecting client is shown what still waits for it', async () => {
  const first = await connect('reconnecting');
  first.send({ type: 'user_message', content: 'go' });
  const call = await story.provider.next();
  await call.tools({ name: 'read_file', args: { path: 'a' } }, { name: 'delete_file', args: { path: 'b' } });
  await call.finish('tool_calls');
  const shown = [await first.next(), await first.next()];
  first.socket.terminate();
  const second = await connect('reconnecting');
  const again = [await second.next(), await second.next()];
  const sorted = (frames: Array<Record<string, unknown>>) =>
    frames.sort((a, b) => String(a.tool_name).localeCompare(String(b.tool_name)));
  expect(sorted(again)).toEqual(sorted(shown));
  const [deletion, read] = sorted(again);
  second.send({ type: 'tool_result', call_id: read?.call_id, result: 'a' });
  second.send({ type: 'hitl_decision', call_id: deletion?.call_id, decision: 'approve' });
  second.send({ type: 'tool_result', call_id: deletion?.call_id, result: 'deleted' });
  const next = await story.provider.next();
  expect(conversationOf(next).slice(2)).toMatchObject([{ content: 'a' }, { content: 'deleted' }]);
  await next.finish();
  expect(await second.next()).toMatchObject({ is_final: true });
  second.socket.close();
});

it('a client whose decision was refused is told to run the call that somebody else approves', async () => {
  const client = await connect('refused');
  client.send({ type: 'user_message', content: 'go' });
  const first = await story.provider.next();
  await first.tools({ name: 'write_file', args: { path: 'b', content: '1' } });
  await first.finish('tool_calls');
  const asked = await client.next();
  client.send({ type: 'hitl_decision', call_id: asked.call_id, decision: 'edit', modified_arguments: { nonsense: 1 } });
  expect(await client.next()).toMatchObject({ type: 'error', code: 'VALIDATION' });
  const other = await story.stack.client().sessions.get('refused');
  await other.decide(asked.call_id as string, { decision: 'allow' });
  expect(await client.next()).toEqual({ ...asked, requires_approval: false });
  client.send({ type: 'tool_result', call_id: asked.call_id, result: 'written' });
  expect(conversationOf(await story.provider.next()).at(-1)).toMatchObject({ content: 'written' });
  client.socket.close();
});

it('switch_agent switches, says so, and sends its content', async () => {
  const client = await connect('switching');
  client.send({ type: 'switch_agent', agent_type: 'architect', content: 'draw it', reason: 'a design' });
  expect(await client.next()).toMatchObject({
    type: 'agent_switched',
    from_agent: 'orchestrator',
    to_agent: 'architect',
    reason: 'a design',
  });
  const call = await story.provider.next();
  expect(call.body.messages[0].content).toContain('software architect');
  expect(conversationOf(call)).toEqual([{ role: 'user', content: 'draw it' }]);
  await call.finish();
  expect(await client.next()).toMatchObject({ is_final: true });
  client.send({ type: 'switch_agent', agent_type: 'nobody', content: '' });
  expect(await client.next()).toMatchObject({ type: 'error', code: 'VALIDATION' });
  client.socket.close();
});

describe('an older client that makes a call before it is asked', () => {
  const started = async (sessionId: string) => {
    const client = await connect(sessionId);
    client.send({ type: 'user_message', content: 'go' });
    const first = await story.provider.next();
    await first.tools({ name: 'write_file', args: { path: 'a.txt', content: '1' } });
    await first.finish('tool_calls');
    const asked = await client.next();
    expect(asked).toMatchObject({ type: 'tool_call', tool_name: 'write_file', requires_approval: true });
    return { client, callId: asked.call_id as string };
  };
  const finished = async (client: Awaited<ReturnType<typeof connect>>) => {
    await (await story.provider.next()).finish();
    expect(await client.next()).toMatchObject({ is_final: true });
    client.socket.close();
  };

  it('has allowed it by the result, which is taken', async () => {
    const { client, callId } = await started('early-result');
    client.send({ type: 'tool_result', call_id: callId, result: { success: true } });
    const second = await story.provider.next();
    expect(conversationOf(second).at(-1)).toMatchObject({ content: '{"success":true}' });
    await second.finish();
    // Nothing told it to make the call again.
    expect(await client.next()).toMatchObject({ is_final: true });
    const session = await story.stack.client().sessions.get('early-result');
    const { items } = await session.items();
    expect(items.find(({ itemId }) => itemId === callId)?.toolCall).toMatchObject({
      outcome: 'succeeded',
      decision: { decision: 'allow', by: 'user' },
    });
    // The same again is taken as what it is, another result is not.
    client.send({ type: 'tool_result', call_id: callId, result: { success: true } });
    client.send({ type: 'tool_result', call_id: callId, result: 'other' });
    expect(await client.next()).toMatchObject({ type: 'error', code: 'TOOL_CALL_FINISHED' });
    client.socket.close();
  });

  it('has rejected it by an error, whose text the model is told', async () => {
    const { client, callId } = await started('early-error');
    client.send({ type: 'tool_result', call_id: callId, error: 'User rejected the operation' });
    const second = await story.provider.next();
    expect(conversationOf(second).at(-1)).toMatchObject({
      content: expect.stringContaining('rejected this call: it was not made. They say: User rejected the operation'),
    });
    await second.finish();
    expect(await client.next()).toMatchObject({ is_final: true });
    client.send({ type: 'tool_result', call_id: callId, error: 'User rejected the operation' });
    client.send({ type: 'tool_result', call_id: callId, error: 'another' });
    expect(await client.next()).toMatchObject({ type: 'error', code: 'TOOL_CALL_FINISHED' });
    client.socket.close();
  });

  it('is told, as each client of the session, that a message waits behind the approval, once', async () => {
    const { client, callId } = await started('behind');
    const other = await connect('behind');
    expect(await other.next()).toMatchObject({ type: 'tool_call', call_id: callId });
    client.send({ type: 'user_message', content: 'and then', message_id: 'm2' });
    const waiting = { type: 'waiting', call_id: callId, tool_name: 'write_file' };
    const content = 'The message waits behind the approval of "write_file".';
    const frames = [await client.next(), await client.next()];
    expect(frames).toContainEqual({ status: 'received', message_id: 'm2' });
    expect(frames).toContainEqual({ ...waiting, content, message_id: 'm2' });
    expect(await other.next()).toEqual({ ...waiting, content });
    client.send({ type: 'tool_result', call_id: callId, result: 'done' });
    await (await story.provider.next()).finish();
    for (const each of [client, other]) expect(await each.next()).toMatchObject({ is_final: true });
    await finished(client);
    other.socket.close();
  });

  it('is refused by another door: there a result decides nothing', async () => {
    const { client, callId } = await started('other-doors');
    const url = `${story.stack.gateway.url}/api/v1/sessions/other-doors/calls/${callId}/result`;
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.gateway },
      body: '{"result":"x"}',
    });
    expect(await response.json()).toMatchObject({ error: { code: 'VALIDATION' } });
    client.socket.close();
  });
});

it('switch_agent to the agent that answers already is answered', async () => {
  const client = await connect('switching-not');
  client.send({ type: 'switch_agent', agent_type: 'orchestrator', content: '', reason: 'to be sure' });
  expect(await client.next()).toEqual({
    type: 'agent_switched',
    from_agent: 'orchestrator',
    to_agent: 'orchestrator',
    reason: 'to be sure',
    content: 'orchestrator answers already.',
  });
  client.socket.close();
});

it('a message of another role than the user is refused by name', async () => {
  const client = await connect('roles');
  for (const role of ['system', 'assistant', 'tool', 'robot']) {
    client.send({ type: 'user_message', role, content: 'x' });
    expect(await client.next()).toMatchObject({
      type: 'error',
      code: 'VALIDATION',
      content: expect.stringContaining(`role must be "user": messages of "${role}" are not taken`),
    });
  }
  client.socket.close();
});

it('a message after its session was deleted begins it anew, with the tools of the client', async () => {
  const client = await connect('deleted');
  const namesOf = async () => {
    const call = await story.provider.next();
    await call.finish();
    return call.body.tools.map(({ function: { name } }: { function: { name: string } }) => name);
  };
  client.send({ type: 'user_message', content: 'one' });
  const tools = await namesOf();
  expect(await client.next()).toMatchObject({ is_final: true });
  for (const deleted of ['at once', 'later']) {
    await (await story.stack.client().sessions.get('deleted')).delete();
    // What watched the session says that it has gone, if a message does not come before.
    if (deleted === 'later') expect(await client.next()).toMatchObject({ type: 'error', code: 'NOT_FOUND' });
    client.send({ type: 'user_message', content: 'two' });
    expect(await namesOf()).toEqual(tools);
    while ((await client.next()).is_final !== true);
  }
  client.socket.close();
});

it('a message that is sent while agent-runtime is away is answered once it is back, with no error', async () => {
  const client = await connect('away');
  client.send({ type: 'user_message', content: 'one', message_id: 'm1' });
  const first = await story.provider.next();
  await first.text('1');
  await first.finish();
  const shown: unknown[] = [];
  while (shown.length < 3) shown.push(await client.next());
  expect(shown.at(-1)).toMatchObject({ is_final: true });
  await story.stack.restartRuntime(async () => client.send({ type: 'user_message', content: 'two', message_id: 'm2' }));
  const second = await story.provider.next();
  await second.text('2');
  await second.finish();
  expect([await client.next(), await client.next(), await client.next()]).toEqual([
    { status: 'received', message_id: 'm2' },
    { type: 'assistant_message', token: '2', is_final: false },
    { type: 'assistant_message', token: '', is_final: true },
  ]);
});

describe('a message that is sent again', () => {
  const token = (text: string) => ({ type: 'assistant_message', token: text, is_final: false });
  const end = { type: 'assistant_message', token: '', is_final: true };
  const received = { status: 'received', message_id: 'm1' };
  const message = { type: 'user_message', content: 'one', message_id: 'm1', input_id: 'i1' };
  const answer = async (text: string) => {
    const call = await story.provider.next();
    await call.text(text);
    await call.finish();
  };
  const take = async (client: Awaited<ReturnType<typeof connect>>, count: number) => {
    const frames = [];
    while (frames.length < count) frames.push(await client.next());
    return frames;
  };
  /** A restart of agent-runtime, then another message: its answer is all that comes. */
  const expectNoMore = async (client: Awaited<ReturnType<typeof connect>>) => {
    await story.stack.restartRuntime();
    client.send({ type: 'user_message', content: 'and now' });
    await answer('next');
    expect(await take(client, 2)).toEqual([token('next'), end]);
    client.socket.close();
  };

  it('in the middle of its answer, over another connection, goes on, ends once, and is not shown again', async () => {
    const first = await connect('again');
    first.send(message);
    const call = await story.provider.next();
    await call.text('Hello');
    expect(await take(first, 2)).toEqual([received, token('Hello')]);
    first.socket.terminate();
    const second = await connect('again');
    expect(await second.next()).toEqual(token('Hello'));
    second.send(message);
    expect(await second.next()).toEqual(received);
    await call.text(' you');
    await call.finish();
    expect(await take(second, 2)).toEqual([token(' you'), end]);
    await expectNoMore(second);
  });

  it('after its answer, over another connection, is answered whole, once', async () => {
    const first = await connect('again');
    first.send(message);
    await answer('Hello');
    await take(first, 3);
    first.socket.terminate();
    const second = await connect('again');
    second.send(message);
    expect(await take(second, 3)).toEqual([received, token('Hello'), end]);
    second.send(message);
    expect(await second.next()).toEqual(received);
    await expectNoMore(second);
  });

  it('after it was cancelled while it waited, has its end on each connection that has sent it, and only there', async () => {
    const first = await connect('again');
    first.send(message);
    const call = await story.provider.next();
    await call.text('Hello');
    const waiting = { type: 'user_message', content: 'two', message_id: 'm2', input_id: 'i2' };
    first.send(waiting);
    expect(await take(first, 3)).toEqual(
      expect.arrayContaining([received, token('Hello'), { ...received, message_id: 'm2' }]),
    );
    const second = await connect('again');
    expect(await second.next()).toEqual(token('Hello'));
    const cancelled = { type: 'error', code: 'NOT_FOUND', message_id: 'm2' };
    await fetch(`${story.stack.gateway.url}/api/v1/sessions/again/inputs/i2/cancel`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.gateway },
    });
    expect(await first.next()).toMatchObject(cancelled);
    first.send(waiting);
    expect(await first.next()).toEqual({ ...received, message_id: 'm2' });
    await call.finish();
    expect(await first.next()).toEqual(end);
    expect(await second.next()).toEqual(end);
    second.send(waiting);
    expect(await take(second, 2)).toMatchObject([{ ...received, message_id: 'm2' }, cancelled]);
    second.socket.close();
    await expectNoMore(first);
  });

  it('after one of its name with another content was refused, is acknowledged and no more', async () => {
    const client = await connect('again');
    client.send(message);
    await answer('Hello');
    await take(client, 3);
    client.send({ ...message, content: 'other' });
    expect(await client.next()).toMatchObject({ type: 'error', code: 'IDEMPOTENCY_MISMATCH' });
    client.send(message);
    expect(await client.next()).toEqual(received);
    await expectNoMore(client);
  });
});
