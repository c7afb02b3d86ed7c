import { on } from 'node:events';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import superjson from 'superjson';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { tool } from '../../packages/sdk/src/index.ts';
import { conversationOf, type ProviderCall } from '../support/fake-provider.ts';
import { rawDoors, stockClient } from '../support/raw-doors.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

/** Keys that objects of JavaScript have by themselves, one of them with a setter. As text: a literal could not have all of them. */
const METADATA = '{"constructor":"a","prototype":"b","__proto__":"c","toString":"d","a.b\\\\c":"e"}';
const ARGUMENTS =
  '{"path":"a","constructor":"c","prototype":{"x":[{"__proto__":1}]},"__proto__":{"y":[1,null]},"hasOwnProperty":false}';
const RESULT = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"prototype":null}';
const OPEN = '{"type":"object"}';

const headers = { 'x-internal-auth': keys.gateway, 'content-type': 'application/json' };
const rest = (path: string, init: RequestInit = {}) =>
  fetch(`${story.stack.gateway.url}/api/v1${path}`, { headers, ...init }).then((response) => response.text());

async function socketOf(sessionId: string) {
  const socket = new WebSocket(`${story.stack.gateway.url.replace('http', 'ws')}/ws/${sessionId}`, { headers });
  const messages = on(socket, 'message');
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return {
    send: (frame: string) => socket.send(frame),
    async until(wanted: (frame: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
      for (;;) {
        const frame = JSON.parse(String((await messages.next()).value[0])) as Record<string, unknown>;
        if (wanted(frame)) return frame;
      }
    },
    close: () => socket.close(),
  };
}

/** The data of the events of a session as SSE, from its start, up to the first of that type. */
async function eventsUpTo(sessionId: string, type: string): Promise<string[]> {
  const response = await fetch(`${story.stack.gateway.url}/api/v1/sessions/${sessionId}/events?from=start`, {
    headers,
  });
  let text = '';
  for await (const part of (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.includes(`event: ${type}\n`) && text.endsWith('\n\n')) break;
    if (text.includes('event: error')) throw new Error(text);
  }
  return text.split('\n').filter((line) => line.startsWith('data: '));
}

async function toolMessagesOf(call: ProviderCall) {
  return conversationOf(call).filter(({ role }) => role === 'tool');
}

const poisonTool = (kind: 'read' | 'write', onCall: (args: unknown) => unknown) => ({
  odd: tool({ description: 'Takes anything', input: { type: 'object' }, kind, execute: onCall }),
});

describe.each(rawDoors)('through $name', (door) => {
  it('metadata comes back as it was given, at create and at update, and the list is there for everybody', async () => {
    const { stack } = story;
    await stack.client().sessions.create({ sessionId: 'other' });
    const made = await door.call(stack, 'session.create', 'mutation', `{"sessionId":"odd","metadata":${METADATA}}`);
    expect(made.error).toBeUndefined();
    expect(JSON.stringify(made.result.session.metadata)).toBe(METADATA);
    for (const reader of rawDoors) {
      const got = await reader.call(stack, 'session.get', 'query', '{"sessionId":"odd"}');
      expect([reader.name, JSON.stringify(got.result?.metadata)]).toEqual([reader.name, METADATA]);
      const list = await reader.call(stack, 'session.list', 'query', '{}');
      expect(list.result?.sessions.map(({ sessionId }: { sessionId: string }) => sessionId)).toEqual(['odd', 'other']);
    }
    const updated = await door.call(
      stack,
      'session.update',
      'mutation',
      '{"sessionId":"odd","metadata":{"__proto__":"x"}}',
    );
    expect(JSON.stringify(updated.result?.metadata)).toBe('{"__proto__":"x"}');

    await stack.restartRuntime();
    const client = stack.client();
    expect((await client.sessions.list()).sessions.map(({ sessionId }) => sessionId)).toEqual(['odd', 'other']);
    expect(JSON.stringify((await client.sessions.get('odd')).info.metadata)).toBe('{"__proto__":"x"}');
  });

  it('the limits of metadata count such keys too', async () => {
    for (const metadata of [
      '{"__proto__":7}',
      `{"__proto__":"${'x'.repeat(1001)}"}`,
      `{${Array.from({ length: 51 }, (_, i) => `"k${i}":"v"`)}}`,
      `{"${'k'.repeat(101)}":"v"}`,
      '[]',
    ]) {
      const answer = await door.call(story.stack, 'session.create', 'mutation', `{"metadata":${metadata}}`);
      expect(answer.error).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('metadata') });
    }
  });

  it('edited arguments reach the tool as they were written', async () => {
    const { stack, provider } = story;
    let got: unknown;
    const tools = poisonTool('write', (args) => {
      got = args;
      return JSON.parse(RESULT);
    });
    const session = await stack.client({ tools }).sessions.create({ sessionId: 'edited' });
    const asked: unknown[] = [];
    session.onApproval((request) => void asked.push(request.arguments));
    const edited = ARGUMENTS.replace('"a"', '"edited"');
    const run = session.send('go');
    const first = await provider.next();
    await first.tools({ name: 'odd', args: ARGUMENTS });
    await first.finish('tool_calls');
    await eventsUpTo('edited', 'approval.requested');
    const { result } = await door.call(stack, 'approval.list', 'query', '{"sessionId":"edited"}');
    const { callId, arguments: shown } = result.approvals[0];
    expect(JSON.stringify(shown)).toBe(ARGUMENTS);
    const decided = await door.call(
      stack,
      'approval.decide',
      'mutation',
      `{"sessionId":"edited","callId":"${callId}","decision":"edit","arguments":${edited}}`,
    );
    expect(decided.error).toBeUndefined();
    const second = await provider.next();
    expect(JSON.stringify(got)).toBe(edited);
    expect(asked.map((args) => JSON.stringify(args))).toEqual([ARGUMENTS]);
    expect(await toolMessagesOf(second)).toMatchObject([{ content: RESULT }]);
    expect(second.bytes).toContain(JSON.stringify(edited));
    await second.finish();
    await run.finished();
    const items = await door.call(stack, 'session.items', 'query', '{"sessionId":"edited"}');
    const call = items.result.items.find(({ kind }: { kind: string }) => kind === 'tool_call');
    expect(JSON.stringify(call.toolCall.arguments)).toBe(edited);
  });

  it('a result is given to the model as it was sent; a schema to the model as it was announced', async () => {
    const { stack, provider } = story;
    const schema =
      '{"type":"object","__proto__":{"a":1},"properties":{"constructor":{"type":"string"},"__proto__":{"type":"object"}}}';
    const announced = await door
      .call(stack, 'session.create', 'mutation', '{"sessionId":"results"}')
      .then(() =>
        door.call(
          stack,
          'tool.announce',
          'mutation',
          `{"sessionId":"results","clientId":"c","tools":[{"name":"odd","kind":"read","inputSchema":${schema}}]}`,
        ),
      );
    expect(announced.error).toBeUndefined();
    const listed = await door.call(stack, 'tool.list', 'query', '{"sessionId":"results"}');
    const odd = listed.result.tools.find(({ name }: { name: string }) => name === 'odd');
    expect(JSON.stringify(odd.inputSchema)).toBe(schema);
    const run = (await stack.client().sessions.get('results')).send('go');
    const first = await provider.next();
    expect(first.bytes).toContain(`"parameters":${schema}`);
    await first.tools({ name: 'odd', args: ARGUMENTS });
    await first.finish('tool_calls');
    const requested = (await eventsUpTo('results', 'tool.requested')).map((line) => JSON.parse(line.slice(6)));
    const { callId, arguments: args } = requested.find(({ type }) => type === 'tool.requested');
    expect(JSON.stringify(args)).toBe(ARGUMENTS);
    const sent = await door.call(
      stack,
      'tool.result',
      'mutation',
      `{"sessionId":"results","callId":"${callId}","result":${RESULT}}`,
    );
    expect(sent).toEqual({ result: { status: 'accepted', replayed: false } });
    const second = await provider.next();
    expect(await toolMessagesOf(second)).toMatchObject([{ content: RESULT }]);
    await second.finish();
    await run.finished();
  });
});

it('what a model writes reaches the tool of an SDK client, the events, the history and the model again as it was', async () => {
  const { stack, provider } = story;
  const got: unknown[] = [];
  const tools = poisonTool('read', (args) => {
    got.push(args);
    return 'done';
  });
  const session = await stack.client({ tools }).sessions.create({ sessionId: 'model' });
  const run = session.send('go');
  const seen: string[] = [];
  const watching = (async () => {
    for await (const event of run.events)
      if (event.type === 'item.completed' && event.item.kind === 'tool_call')
        seen.push(JSON.stringify(event.item.toolCall?.arguments));
  })();
  const first = await provider.next();
  await first.tools(
    { name: 'odd', args: ARGUMENTS },
    { name: 'calculator', args: '{"expression":"1+1","__proto__":{}}' },
  );
  await first.finish('tool_calls');
  const second = await provider.next();
  expect(second.bytes).toContain(JSON.stringify(ARGUMENTS));
  await second.text('Fine.');
  await second.finish();
  expect(await run.finished()).toMatchObject({ status: 'completed', text: 'Fine.' });
  await watching;
  expect(got.map((args) => JSON.stringify(args))).toEqual([ARGUMENTS]);
  expect(seen).toContain(ARGUMENTS);

  await stack.restartRuntime();
  const text = await rest('/sessions/model/items');
  expect(text).toContain(`"arguments":${ARGUMENTS}`);
  const again = await stack.client().sessions.get('model');
  const { items } = await again.items();
  const call = items.find(({ toolCall }) => toolCall?.name === 'odd');
  expect(JSON.stringify(call?.toolCall?.arguments)).toBe(ARGUMENTS);
  expect(call?.createdAt).toBeInstanceOf(Date);
  // The session goes on.
  const next = again.send('more');
  const third = await provider.next();
  await third.text('And on.');
  await third.finish();
  expect(await next.finished()).toMatchObject({ text: 'And on.' });
});

it('over /ws/{session_id}: the call, the edited arguments and the result are carried as they are', async () => {
  const { provider } = story;
  await rest('/sessions', { method: 'POST', body: '{"sessionId":"old"}' });
  await rest('/sessions/old/tools', {
    method: 'PUT',
    body: `{"clientId":"ide","tools":[{"name":"odd","kind":"write","inputSchema":${OPEN}}]}`,
  });
  const ide = await socketOf('old');
  ide.send('{"type":"user_message","content":"go"}');
  const first = await provider.next();
  await first.tools({ name: 'odd', args: ARGUMENTS });
  await first.finish('tool_calls');
  const call = await ide.until(({ type }) => type === 'tool_call');
  expect(JSON.stringify(call.arguments)).toBe(ARGUMENTS);
  const edited = ARGUMENTS.replace('"a"', '"edited"');
  ide.send(`{"type":"hitl_decision","call_id":"${call.call_id}","decision":"edit","modified_arguments":${edited}}`);
  ide.send(`{"type":"tool_result","call_id":"${call.call_id}","result":${RESULT}}`);
  const second = await provider.next();
  expect(second.bytes).toContain(JSON.stringify(edited));
  expect(await toolMessagesOf(second)).toMatchObject([{ content: RESULT }]);
  await second.text('Fine.');
  await second.finish();
  expect(await ide.until(({ is_final }) => is_final === true)).toMatchObject({ token: '' });
  ide.close();
  const answer = rest('/message', { method: 'POST', body: '{"session_id":"old","message":"and now?"}' });
  const third = await provider.next();
  await third.text('Still here.');
  await third.finish();
  expect(await answer).toContain('Still here.');
});

it('over /mcp: the approval that waits shows the arguments as the model wrote them', async () => {
  const { stack, provider } = story;
  const session = await stack.client({ tools: poisonTool('write', () => 'x') }).sessions.create({ sessionId: 'mcp' });
  const client = new Client({ name: 'test', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(`${stack.runtime.url}/mcp`), {
    requestInit: { headers: { 'x-internal-auth': keys.runtime } },
  });
  await client.connect(transport);
  const sent = client.callTool({
    name: 'send_message',
    arguments: { session_id: session.id, message: 'go', wait_seconds: 0 },
  });
  const first = await provider.next();
  await first.tools({ name: 'odd', args: ARGUMENTS });
  await first.finish('tool_calls');
  await sent;
  await eventsUpTo('mcp', 'approval.requested');
  const { input_id } = JSON.parse(((await sent).content as Array<{ text: string }>)[0]?.text ?? '{}');
  const waiting = await client.callTool({
    name: 'read_answer',
    arguments: { session_id: session.id, input_id, wait_seconds: 1 },
  });
  expect((waiting.content as Array<{ text: string }>)[0]?.text).toContain(`"arguments":${ARGUMENTS}`);
  await client.close();
});

describe.each(['ws', 'http'] as const)('a stock tRPC client with superjson over %s', (over) => {
  it('reads sessions and histories that have such keys in them, with their dates, and sends dates and undefined', async () => {
    const { stack, provider } = story;
    const odd = `{"sessionId":"stock","metadata":${METADATA}}`;
    await (rawDoors[2] as (typeof rawDoors)[0]).call(stack, 'session.create', 'mutation', odd);
    const session = await stack.client({ tools: poisonTool('read', () => 'x') }).sessions.get('stock');
    const run = session.send('go');
    const first = await provider.next();
    await first.tools({ name: 'odd', args: ARGUMENTS });
    await first.finish('tool_calls');
    await (await provider.next()).finish();
    await run.finished();

    const { trpc, close } = stockClient(stack, over);
    const list = await trpc.session.list.query({ cursor: undefined, limit: 10 });
    expect(list.sessions[0]?.createdAt).toBeInstanceOf(Date);
    expect(list.sessions[0]?.metadata.prototype).toBe('b');
    expect(Object.hasOwn(list.sessions[0]?.metadata ?? {}, 'constructor')).toBe(true);
    const { items } = await trpc.session.items.query({ sessionId: 'stock' });
    expect(items.every(({ createdAt }) => createdAt instanceof Date)).toBe(true);
    expect(items.find(({ toolCall }) => toolCall)?.toolCall?.arguments?.prototype).toEqual({ x: [expect.anything()] });

    // Twice the same object: superjson says so in the envelope.
    const metadata = { a: 'b' };
    const schema = { type: 'object' as const, properties: { a: metadata, b: metadata } };
    expect(superjson.serialize({ schema }).meta?.referentialEqualities).toBeDefined();
    const tools = [{ name: 'one', inputSchema: schema, resource: undefined }];
    expect(await trpc.tool.announce.mutate({ sessionId: 'stock', clientId: 'stock', tools })).toEqual({ tools: 1 });
    close();
  });
});

describe.each(['ws', 'http'] as const)('a stock tRPC client with superjson over %s', (over) => {
  it.each([
    ['a bigint', { a: 10n }],
    ['a set', { a: new Set([1]) }],
    ['a map', { a: new Map() }],
    ['bytes', { a: new Uint8Array(3) }],
    ['an error', { a: new Error('x') }],
    ['a URL', { a: new URL('http://x') }],
    ['a regular expression', { a: /x/ }],
    ['infinity', { a: Number.POSITIVE_INFINITY }],
  ])('is told that %s is not taken, and what is', async (_, result) => {
    const { trpc, close } = stockClient(story.stack, over);
    await story.stack.client().sessions.create({ sessionId: 'refused' });
    const sent = trpc.tool.result.mutate({ sessionId: 'refused', callId: 'c', result });
    await expect(sent).rejects.toMatchObject({ data: { code: 'VALIDATION', retryable: false } });
    await expect(sent).rejects.toThrow(/superjson.*Date and undefined/);
    close();
  });
});
