// biome-ignore-all lint/suspicious/noTemplateCurlyInString: configuration files have them
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, type Progress, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Session, tool } from '../../packages/sdk/src/index.ts';
import { conversationOf, type FakeProvider, type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { startSseServer } from '../support/mcp-servers.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

const script = fileURLToPath(new URL('../support/mcp-server.mjs', import.meta.url));
let folder: string;
let provider: FakeProvider;
let stack: Stack;

async function setUp(servers: object, variables: Record<string, string> = {}): Promise<string> {
  const file = join(folder, 'mcp.json');
  await writeFile(file, JSON.stringify({ mcpServers: servers }));
  stack = await startStack({ providerUrl: provider.url, variables: { AGENT_RUNTIME__MCP_CONFIG: file, ...variables } });
  return file;
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'codelab-mcp-'));
  provider = await startFakeProvider();
});
afterEach(async () => {
  await stack.close();
  await provider.close();
  await rm(folder, { recursive: true, force: true });
});

const test = { command: process.execPath, args: [script], trustAnnotations: true };

const listOf = async (session: Session) => {
  const response = await fetch(`${stack.gateway.url}/api/v1/sessions/${session.id}/tools`, {
    headers: { 'x-internal-auth': keys.gateway },
  });
  return (await response.json()) as {
    tools: Array<{ name: string; target: string }>;
    unusable?: Array<{ server: string; tool?: string; reason: string }>;
  };
};
const namesOf = async (session: Session) =>
  (await listOf(session)).tools.filter(({ target }) => target === 'mcp').map(({ name }) => name);

/** A server starts on its own time, and says nothing to us when it has: it is asked again and again. */
async function ready(session: Session, name: string): Promise<void> {
  while (!(await namesOf(session)).includes(name)) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Lets the model make one call, and returns the result that it is given. */
async function callTool(session: Session, name: string, args: object = {}): Promise<string> {
  const run = session.send('go');
  const call = await provider.next();
  await call.tools({ name, args });
  await call.finish('tool_calls');
  const next: ProviderCall = await provider.next();
  await next.finish();
  await run.finished();
  return conversationOf(next).at(-1)?.content as string;
}

describe('MCP servers of the configuration', () => {
  it('run as child processes: their tools work, fail, change, and ask where they are not known to read', async () => {
    await setUp({ paper: test });
    const session = await stack.client().sessions.create();
    await ready(session, 'paper_echo');
    expect(await callTool(session, 'paper_echo', { text: 'hi' })).toMatch(/^\d+ hi$/);
    expect(await callTool(session, 'paper_echo', { text: 7 })).toContain('text must be string');
    expect(await callTool(session, 'paper_fail')).toBe('out of paper');
    expect(await namesOf(session)).not.toContain('paper_grown');
    await callTool(session, 'paper_grow');
    await ready(session, 'paper_grown');
    expect(await callTool(session, 'paper_grown')).toBe('grown');
    const seen: string[] = [];
    session.onApproval(({ name, target }) => {
      seen.push(`${name} ${target}`);
      return { decision: 'allow' };
    });
    expect(await callTool(session, 'paper_change')).toBe('changed');
    expect(seen).toEqual(['paper_change mcp']);
  });

  it('are started again when they die; the model is told what became of its call', async () => {
    await setUp({ paper: test });
    const session = await stack.client().sessions.create();
    await ready(session, 'paper_echo');
    const before = await callTool(session, 'paper_echo', { text: 'x' });
    expect(await callTool(session, 'paper_die')).toContain('The MCP server "paper" failed');
    let after = await callTool(session, 'paper_echo', { text: 'x' });
    while (after.includes('is not running')) after = await callTool(session, 'paper_echo', { text: 'x' });
    expect(after).toMatch(/^\d+ x$/);
    expect(after).not.toBe(before);
  });

  it('with schemas that are none, too large or without end: those tools are left out or fail their call, the others work', async () => {
    const odd = { ...test, args: [fileURLToPath(new URL('../support/odd-mcp-server.mjs', import.meta.url))] };
    await setUp({ odd });
    const session = await stack.client().sessions.create();
    await ready(session, 'odd_fine');
    const names = await namesOf(session);
    const [dotted = '', long = ''] = names.slice(2, 4);
    expect(dotted).toMatch(/^odd_dotted_name_[0-9a-f]{8}$/);
    expect(long).toMatch(/^odd_path_(long)+lo_[0-9a-f]{8}$/);
    expect(names.slice(0, 7)).toEqual([
      'odd_fine',
      'odd_slow',
      dotted,
      long,
      'odd_answers',
      'odd_misdescribed',
      'odd_more0',
    ]);
    expect(names).toHaveLength(128);
    const { unusable = [] } = await listOf(session);
    expect(unusable.slice(0, 6)).toEqual([
      { server: 'odd', tool: 'wrong', reason: expect.stringContaining('inputSchema') },
      { server: 'odd', tool: 'nowhere', reason: expect.stringContaining('inputSchema') },
      { server: 'odd', tool: 'large', reason: expect.stringContaining('64 KiB') },
      { server: 'odd', tool: 'typeless', reason: expect.stringContaining('inputSchema') },
      { server: 'odd', tool: 'schemaless', reason: expect.stringContaining('inputSchema') },
      { server: 'odd', tool: '', reason: 'it has no name' },
    ]);
    expect(unusable.at(-1)).toMatchObject({ tool: 'more149', reason: expect.stringContaining('at most 128') });
    expect(await callTool(session, dotted)).toBe('dotted.name answered\n{"x":"no number"}');
    expect(await callTool(session, long)).toContain('path/longlong');
    expect(await callTool(session, 'odd_wrong', { a: 'x' })).toContain('There is no tool "odd_wrong"');
    expect(await callTool(session, 'odd_slow', { a: `${'a'.repeat(40)}!` })).toContain('takes too long');
    expect(await callTool(session, 'odd_answers')).toBe('answers answered\n{"x":"no number"}');
    expect(await callTool(session, 'odd_misdescribed')).toBe('misdescribed answered\n{"x":"no number"}');
    expect(await callTool(session, 'odd_fine', { a: 'x' })).toBe('fine answered\n{"x":"no number"}');
  });

  it('that say how far they are have their whole time again each time, and the person is shown it', async () => {
    await setUp({ paper: { ...test, timeoutMs: 600 } });
    const session = await stack.client().sessions.create();
    await ready(session, 'paper_report');
    const seen: unknown[] = [];
    const watching = (async () => {
      for await (const event of session.events()) {
        if (event.type === 'tool.progress') seen.push([event.message, event.fraction]);
        if (event.type === 'run.finished') return;
      }
    })();
    expect(await callTool(session, 'paper_report', { times: 3, every: 300 })).toBe('reported');
    await watching;
    // The last one may be overtaken by the result.
    expect(seen.slice(0, 2)).toEqual([
      ['part 1', 1 / 3],
      ['part 2', 2 / 3],
    ]);
  });

  it('may answer with images, resources and values: the text says what each is', async () => {
    await setUp({ paper: test });
    const session = await stack.client().sessions.create();
    await ready(session, 'paper_paint');
    const said = 'look:\n[image: image/png, 72 bytes]\nwith a brush\n{"colours":2}';
    const note = '\n[An image or file of the result cannot be shown to this model.]';
    expect(await callTool(session, 'paper_paint')).toBe(said + note);
    const { items } = await session.items();
    expect(items.find(({ toolCall }) => toolCall !== undefined)?.toolCall).toMatchObject({ result: said });
  });

  it('that hang hold nothing up: the call has a deadline, and a cancel does not wait', async () => {
    await setUp({ paper: { ...test, timeoutMs: 300 }, slow: test });
    const session = await stack.client().sessions.create();
    await ready(session, 'paper_hang');
    await ready(session, 'slow_hang');
    expect(await callTool(session, 'paper_hang')).toContain('did not answer within 0.3 s');
    const run = session.send('go');
    const call = await provider.next();
    await call.tools({ name: 'slow_hang', args: {} });
    await call.finish('tool_calls');
    for await (const event of session.events({ from: 'start' }))
      if (event.type === 'tool.requested' && event.name === 'slow_hang') break;
    await run.cancel();
    expect(await run.finished()).toMatchObject({ status: 'cancelled' });
  });

  it('are let finish by a stop of the service, though another call waits for a person', async () => {
    await setUp({ paper: test });
    const write = tool({
      description: 'Writes',
      input: { type: 'object' },
      kind: 'write',
      execute: async () => 'written',
    });
    const session = await stack.client({ tools: { write } }).sessions.create();
    await ready(session, 'paper_wait');
    const [begun, file] = [join(folder, 'begun'), join(folder, 'go on')];
    const run = session.send('go');
    const call = await provider.next();
    await call.tools({ name: 'paper_wait', args: { begun, file } }, { name: 'write', args: {} });
    await call.finish('tool_calls');
    const states: string[] = [];
    let requested = 0;
    for await (const event of session.events({ from: 'start' })) {
      if (event.type === 'session.state') states.push(event.state);
      if (event.type === 'tool.requested' || event.type === 'approval.requested') requested++;
      if (requested === 2) break;
    }
    // Only the file system says so.
    while (!existsSync(begun)) await new Promise((resolve) => setTimeout(resolve, 10));
    const stopped = stack.runtime.close(10_000);
    await writeFile(file, '');
    await stopped;
    await stack.restartRuntime();
    const [approval] = await session.approvals();
    await session.decide(approval?.callId ?? '', { decision: 'allow' });
    const next = await provider.next();
    expect(conversationOf(next).map(({ content }) => content)).toEqual(['go', null, 'waited', 'written']);
    await next.finish();
    await run.finished();
    expect(readFileSync(begun, 'utf8')).toBe('begun\n');
    // It is at work while its tool is, whoever else is waited for.
    expect(states.at(-1)).toBe('running');
  });

  it('may come up after a restart of the service: a call of theirs that waits for a person goes on waiting', async () => {
    const gate = join(folder, 'gate');
    const late = `const { existsSync } = require('node:fs');
      const wait = () => (existsSync(process.argv[1]) ? import(process.argv[2]) : setTimeout(wait, 20));
      wait();`;
    await writeFile(gate, '');
    await setUp({ paper: { command: process.execPath, args: ['-e', late, gate, script] } });
    const session = await stack.client().sessions.create();
    await ready(session, 'paper_change');
    const run = session.send('go');
    const call = await provider.next();
    await call.tools({ name: 'paper_change', args: {} });
    await call.finish('tool_calls');
    for await (const event of session.events({ from: 'start' })) if (event.type === 'approval.requested') break;
    await rm(gate);
    await stack.restartRuntime();
    const [approval] = await session.approvals();
    expect(approval).toMatchObject({ name: 'paper_change', target: 'mcp' });
    await session.decide(approval?.callId ?? '', { decision: 'allow' });
    await writeFile(gate, '');
    const next = await provider.next();
    expect(conversationOf(next).at(-1)?.content).toBe('changed');
    await next.finish();
    expect(await run.finished()).toMatchObject({ status: 'completed' });
  });

  it('may have more tools than a model is told of: it finds them', async () => {
    const odd = { ...test, args: [fileURLToPath(new URL('../support/odd-mcp-server.mjs', import.meta.url))] };
    await setUp({ odd, paper: test }, { AGENT_RUNTIME__MAX_TOOLS: '10' });
    const session = await stack.client().sessions.create();
    await ready(session, 'odd_fine');
    await ready(session, 'paper_echo');
    const toldOf = ({ body }: ProviderCall) =>
      (body as { tools: Array<{ function: { name: string } }> }).tools.map(({ function: { name } }) => name);
    const own = ['calculator', 'find_tools', 'plan', 'read_result', 'switch_agent'];
    const run = session.send('go');
    const first = await provider.next();
    expect(toldOf(first)).toEqual(own);
    await first.tools({ name: 'find_tools', args: { query: 'says again' } });
    await first.finish('tool_calls');
    const second = await provider.next();
    expect(conversationOf(second).at(-1)?.content).toContain('- paper_echo: Says it again');
    expect(toldOf(second)).toContain('paper_echo');
    expect(toldOf(second).length).toBeLessThanOrEqual(10);
    await second.tools({ name: 'paper_echo', args: { text: 'found' } });
    await second.finish('tool_calls');
    const third = await provider.next();
    expect(conversationOf(third).at(-1)?.content).toMatch(/^\d+ found$/);
    await third.finish();
    await run.finished();
  });

  it('of the older transport work, named or found out; a wrong one beside them stops nothing, and is told of', async () => {
    const old = await startSseServer();
    try {
      const file = await setUp(
        {
          'My Server': { type: 'sse', url: '${OLD_SERVER}' },
          found: { serverUrl: old.url },
          wrong: { type: 'sse', url: '${env:NOT_SET}' },
        },
        { AGENT_RUNTIME__MCP_VARIABLES: 'OLD_*', OLD_SERVER: old.url },
      );
      const session = await stack.client().sessions.create();
      session.onApproval(() => ({ decision: 'allow' }));
      await ready(session, 'My_Server_old');
      await ready(session, 'found_old');
      expect(await callTool(session, 'My_Server_old')).toBe('old, but fine');
      const unusable = async () => (await listOf(session)).unusable;
      expect(await unusable()).toEqual([{ server: 'wrong', reason: expect.stringContaining('${NOT_SET}') }]);
      await writeFile(file, JSON.stringify({ servers: { found: { url: 7 }, paper: test } }));
      await ready(session, 'paper_echo');
      expect(await unusable()).toEqual([{ server: 'found', reason: expect.stringContaining('url: ') }]);
      // An entry that has become wrong stays as it was.
      expect(await callTool(session, 'found_old')).toBe('old, but fine');
      expect(await namesOf(session)).not.toContain('My_Server_old');
    } finally {
      old.close();
    }
  });

  it('may be other services over HTTP, such as another agent-runtime, and change with the file', async () => {
    const other = await startStack();
    try {
      const headers = { 'x-internal-auth': keys.runtime };
      const file = await setUp({ other: { url: `${other.runtime.url}/mcp`, headers } });
      const session = await stack.client().sessions.create();
      session.onApproval(() => ({ decision: 'allow' }));
      await ready(session, 'other_start_session');
      expect(await callTool(session, 'other_start_session', { title: 'theirs' })).toContain('session_id');
      expect((await other.client().sessions.list()).sessions[0]?.title).toBe('theirs');
      await writeFile(file, JSON.stringify({ mcpServers: { paper: test } }));
      await ready(session, 'paper_echo');
      expect(await namesOf(session)).not.toContain('other_start_session');
    } finally {
      await other.close();
    }
  });
});

/** A client of either generation of the packages, and of the later one by the handshake and without it. */
const clients = {
  '1.x': async (url: URL, requestInit: RequestInit) => {
    const client = new OldClient({ name: 'another agent', version: '1.0.0' });
    await client.connect(new OldTransport(url, { requestInit }) as never);
    return {
      listTools: () => client.listTools(),
      callTool: (call: Call, options: CallOptions) => client.callTool(call, undefined, options),
      close: () => client.close(),
    };
  },
  '2.x, by the handshake': async (url: URL, requestInit: RequestInit) => connectNew(url, requestInit, 'legacy'),
  '2.x, without a handshake': async (url: URL, requestInit: RequestInit) =>
    connectNew(url, requestInit, { pin: '2026-07-28' }),
};
type Call = { name: string; arguments: Record<string, unknown> };
type CallOptions = { onprogress?: (progress: Progress) => void };

async function connectNew(url: URL, requestInit: RequestInit, mode: 'legacy' | { pin: string }) {
  const client = new Client({ name: 'another agent', version: '1.0.0' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit }));
  return client;
}

describe.each(Object.entries(clients))('agent-runtime as an MCP server, for a client of %s,', (_, connectClient) => {
  const connect = async (key = keys.runtime) => {
    // No connection is kept: one of them would meet the restart.
    const headers = { authorization: `Bearer ${key}`, connection: 'close' };
    const client = await connectClient(new URL(`${stack.runtime.url}/mcp`), { headers });
    const call = async (name: string, args: Record<string, unknown>, onprogress?: (progress: Progress) => void) => {
      const options = onprogress === undefined ? {} : { onprogress };
      const { content, isError } = await client.callTool({ name, arguments: args }, options);
      const { text } = (content as Array<{ text: string }>)[0] as { text: string };
      return isError ? text : JSON.parse(text);
    };
    return { client, call };
  };

  it('lets another agent start a session, send, read the answer, now or later, and stop', async () => {
    await setUp({});
    const { client, call } = await connect();
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual([
      'start_session',
      'send_message',
      'read_answer',
      'decide',
      'cancel',
    ]);
    const { session_id } = await call('start_session', { agent: 'ask' });
    const asked = call('send_message', { session_id, message: 'why?' });
    const first = await provider.next();
    await first.text('Because.');
    await first.finish();
    expect(await asked).toEqual({ status: 'completed', answer: 'Because.' });

    const running = await call('send_message', { session_id, message: 'really?', wait_seconds: 0 });
    expect(running).toMatchObject({ status: 'running', input_id: expect.any(String) });
    const reading = call('read_answer', { session_id, input_id: running.input_id });
    const second = await provider.next();
    await second.text('Yes.');
    await second.finish();
    expect(await reading).toEqual({ status: 'completed', answer: 'Yes.' });
    expect(await call('read_answer', { session_id, input_id: running.input_id })).toMatchObject({ answer: 'Yes.' });
    expect(await call('cancel', { session_id })).toEqual({ status: 'already_finished' });
    expect(await call('send_message', { session_id: 'none', message: 'x' })).toMatch(/^NOT_FOUND/);
    await client.close();
    await stack.restartRuntime();
    const later = await connect();
    expect(await later.call('read_answer', { session_id, input_id: running.input_id })).toMatchObject({
      answer: 'Yes.',
    });
    await later.client.close();
  });

  it('tells at once of a call that waits for approval, takes the decision, and says how far it is', async () => {
    await setUp({ paper: { ...test, trustAnnotations: false } });
    const { client, call } = await connect();
    const { session_id } = await call('start_session', {});
    await ready(await stack.client().sessions.get(session_id), 'paper_change');
    const told: unknown[] = [];
    const begun = performance.now();
    const asked = call('send_message', { session_id, message: 'go' }, ({ message }) => told.push(message));
    const first = await provider.next();
    await first.text('I will.');
    await first.tools({ name: 'paper_change', args: {} });
    await first.finish('tool_calls');
    const { input_id, ...waiting } = await asked;
    expect(performance.now() - begun).toBeLessThan(20_000);
    expect(waiting).toEqual({
      status: 'waiting_for_approval',
      answer: 'I will.',
      approvals: [expect.objectContaining({ name: 'paper_change', arguments: {}, scopes: ['once', 'session'] })],
      next: expect.stringContaining('decide'),
    });
    const [{ call_id }] = waiting.approvals;
    // It is still open for whoever asks next.
    expect(await call('read_answer', { session_id, input_id })).toMatchObject({ status: 'waiting_for_approval' });
    const decision = { session_id, call_id, decision: 'reject', feedback: 'Not that one.' };
    expect(await call('decide', decision)).toEqual({ status: 'resolved', replayed: false });
    expect(await call('decide', { ...decision, decision: 'allow' })).toMatch(/^APPROVAL_ALREADY_RESOLVED/);
    const reading = call('read_answer', { session_id, input_id }, ({ message }) => told.push(message));
    const second = await provider.next();
    expect(conversationOf(second).at(-1)?.content).toContain('Not that one.');
    await second.tools({ name: 'paper_change', args: {} });
    await second.finish('tool_calls');
    const again = await reading;
    const allow = { session_id, call_id: again.approvals[0].call_id, decision: 'allow', scope: 'session' };
    await call('decide', allow);
    const third = await provider.next();
    expect(conversationOf(third).at(-1)?.content).toBe('changed');
    // It is remembered: nobody is asked any more.
    const rest = call('read_answer', { session_id, input_id }, ({ message }) => told.push(message));
    await third.tools({ name: 'paper_change', args: {} });
    await third.finish('tool_calls');
    const fourth = await provider.next();
    await fourth.text('Done.');
    await fourth.finish();
    expect(await rest).toEqual({ status: 'completed', answer: expect.stringContaining('Done.') });
    expect(told).toContain('paper_change is called');
    await client.close();
  });

  it('says how the answer ended, and what it does not know', async () => {
    await setUp({});
    const { client, call } = await connect();
    const { session_id } = await call('start_session', { agent: 'ask' });
    const stopped = call('send_message', { session_id, message: 'go' });
    const first = await provider.next();
    await first.text('Half an');
    const session = await stack.client().sessions.get(session_id);
    for await (const event of session.events({ from: 'start' })) if (event.type === 'item.delta') break;
    await call('cancel', { session_id });
    expect(await stopped).toEqual({ status: 'cancelled', answer: 'Half an' });
    const cut = call('send_message', { session_id, message: 'go on', input_id: 'cut' });
    const second = await provider.next();
    await second.text('Half too');
    await second.finish('length');
    expect(await cut).toEqual({ status: 'limit', answer: 'Half too' });
    expect(await call('read_answer', { session_id, input_id: 'cut' })).toEqual(await cut);
    expect(await call('read_answer', { session_id, input_id: 'unknown' })).toMatch(/^NOT_FOUND/);
    await client.close();
  });

  it('wants the key, and says what it takes', async () => {
    await setUp({});
    await expect(connect('wrong')).rejects.toThrow(/401|key/);
    expect((await fetch(`${stack.runtime.url}/mcp`)).status).toBe(405);
  });
});

it('agent-runtime as an MCP server has nothing to listen to: no stream of it holds up a stop', async () => {
  await setUp({});
  const url = new URL(`${stack.runtime.url}/mcp`);
  const client = await connectNew(url, { headers: { authorization: `Bearer ${keys.runtime}` } }, { pin: '2026-07-28' });
  expect(client.getServerCapabilities()).toEqual({ tools: { listChanged: false } });
  await expect(client.listen({ toolsListChanged: true })).rejects.toThrow(/limit/);
  await client.close();
});
