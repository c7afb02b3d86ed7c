import type { Item, Rule, ToolKind } from '@codelab/protocol';
import { expect, it } from 'vitest';
import {
  changesMadeBy,
  denial,
  lateEnd,
  type PrepareOptions,
  policyOf,
  prepareCall,
  rejection,
  shorten,
  toText,
  toToolAction,
  withResolution,
} from './tool-call.ts';
import type { Tool } from './tool-registry.ts';

const tool = (name: string, kind: ToolKind, resource?: string): Tool => ({
  name,
  description: '',
  inputSchema: { type: 'object' },
  kind,
  target: 'client',
  clientId: 'ide',
  ...(resource === undefined ? {} : { resource }),
});
const READ = tool('read_file', 'read', 'path');
const WRITE = tool('write_file', 'write', 'path');
const DELETE = tool('delete_file', 'delete', 'path');
const RUN = tool('run_command', 'execute', 'command');
const PATCH = tool('apply_patch', 'write');

const PATCH_TEXT = '--- a/src/a.ts\n+++ b/src/a.ts\n@@ -1,1 +1,1 @@\n-one\n+two\n';
const deny = (resource: string): Rule => ({ tool: '*', resource, effect: 'deny' });

const callOf = (name: string, text: string, args?: Record<string, unknown>): Item => ({
  itemId: 'call_1',
  runId: 'run',
  step: 1,
  kind: 'tool_call',
  text,
  status: 'in_progress',
  createdAt: new Date(0),
  toolCall: { callId: 'call_1', name, ...(args === undefined ? {} : { arguments: args }) },
});

function prepare(item: Item, { rules = [], project = '', ...options }: Partial<PrepareOptions> = {}) {
  return prepareCall(item, {
    runId: 'run',
    agent: { name: 'a', description: '', rules: [], prompt: '' },
    tools: new Map([READ, WRITE, RUN, PATCH].map((each) => [each.name, each])),
    registry: { validateArguments: async () => undefined } as unknown as PrepareOptions['registry'],
    rules,
    project,
    approvalTimeoutMs: 1_000,
    signal: new AbortController().signal,
    onError: () => {},
    ...options,
  });
}

it.each([
  ['no such tool', callOf('rm', '{}'), 'There is no tool "rm". There are: read_file, write_file'],
  ['half a JSON text', callOf('read_file', '{"path":'), 'not valid JSON'],
  ['a list', callOf('read_file', '[1]'), 'must be a JSON object'],
  ['null', callOf('read_file', 'null'), 'must be a JSON object'],
  ['a deep nest', callOf('read_file', `${'['.repeat(300)}${']'.repeat(300)}`), 'nested more than 200'],
  ['a patch that is none', callOf('apply_patch', '{"patch":"hello"}'), 'no changes'],
])('a call of %s fails, and the model is told why', async (_, item, text) => {
  const { end, approval } = await prepare(item);
  expect(end).toEqual({ outcome: 'failed', text: expect.stringContaining(text) });
  expect(approval).toBeUndefined();
});

it('arguments that do not fit the schema fail the call', async () => {
  const registry = { validateArguments: async () => 'path must be string' } as unknown as PrepareOptions['registry'];
  const { end } = await prepare(callOf('read_file', '{"path":1}'), { registry });
  expect(end?.text).toBe("The arguments do not fit the tool's schema: path must be string.");
});

it('an error of a check fails this call alone, and is reported', async () => {
  const errors: unknown[] = [];
  const broken = new Error('broken');
  const registry = {
    validateArguments: () => Promise.reject(broken),
  } as unknown as PrepareOptions['registry'];
  const onError = (error: unknown) => errors.push(error);
  const { end } = await prepare(callOf('read_file', '{}'), { registry, onError });
  expect(end?.outcome).toBe('failed');
  expect(errors).toEqual([broken]);
});

it('a call is allowed, asked for, or denied, as the rules say', async () => {
  const read = callOf('read_file', '{"path":"a"}');
  expect(await prepare(read)).toMatchObject({ tool: READ, args: { path: 'a' }, end: undefined, approval: undefined });
  const denied = await prepare(read, { rules: [deny('a')] });
  expect(denied.end).toEqual(denial('A rule denies * on a.'));
  const asked = await prepare(callOf('write_file', '{"path":"a"}'));
  expect(asked.end).toBeUndefined();
  expect(asked.approval).toMatchObject({ callId: 'call_1', runId: 'run', name: 'write_file', kind: 'write' });
});

it.each([
  ['no project: once, for the session', 'write_file', '{"path":"a"}', '', ['once', 'session']],
  ['a project: for it, too', 'write_file', '{"path":"a"}', 'p', ['once', 'session', 'project']],
  ['outside the workspace: once only', 'write_file', '{"path":"../a"}', 'p', ['once']],
  ['a command: this one', 'run_command', '{"command":"ls"}', '', ['once', 'session']],
])('an approval offers with %s', async (_, name, text, project, scopes) => {
  const { approval } = await prepare(callOf(name, text), { project });
  expect(approval?.options.map(({ scope }) => scope)).toEqual(scopes);
});

it('an approval of a patch shows its changes', async () => {
  const { approval } = await prepare(callOf('apply_patch', JSON.stringify({ patch: PATCH_TEXT })));
  expect(approval?.changes).toMatchObject([{ path: 'src/a.ts', change: 'modify', hunks: [{ hunk: 0 }] }]);
});

it('arguments that a person edited are used in place of the text', async () => {
  const { args } = await prepare(callOf('read_file', '{"path":"a"}', { path: 'b' }));
  expect(args).toEqual({ path: 'b' });
});

it('an empty text is a call without arguments', async () => {
  expect((await prepare(callOf('read_file', ' '))).args).toEqual({});
});

it.each([
  ['a path, normalized', READ, { path: './src/../a' }, ['a']],
  ['a command as it stands', RUN, { command: 'ls ./a' }, ['ls ./a']],
  ['each of a list', READ, { path: ['a', 'b'] }, ['a', 'b']],
  ['nothing where the argument is missing', READ, {}, []],
  ['nothing where it is inherited', tool('x', 'read', 'constructor'), {}, []],
  ['the files of a patch', PATCH, { patch: PATCH_TEXT }, ['src/a.ts']],
])('the resources of a call are %s', (_, which, args, resources) => {
  expect(toToolAction(which, args, '')).toMatchObject({ resources });
});

it('a call on more than 1,000 files is not made', () => {
  const path = Array.from({ length: 1_001 }, (_, index) => `f${index}`);
  expect(toToolAction(READ, { path }, '')).toContain('1001 files at once');
});

it('the runner of a call is given its paths, and what rules deny', () => {
  expect(policyOf(READ, { path: 'a' }, [deny('secret/**')], '/p')).toEqual({
    paths: ['a'],
    denied: ['secret/**'],
    root: '/p',
  });
  expect(policyOf(READ, { path: 'a' }, [], '/p')).toEqual({ paths: ['a'] });
  expect(policyOf(RUN, { command: 'ls' }, [deny('**')], '/p')).toEqual({});
});

it.each([
  ['a write', WRITE, { path: 'a' }, [{ path: 'a', change: 'modify', hunks: [] }]],
  ['a deletion', DELETE, { path: 'a' }, [{ path: 'a', change: 'delete', hunks: [] }]],
  ['a read', READ, { path: 'a' }, undefined],
  ['a command', RUN, { command: 'rm a' }, undefined],
  ['a write that names no file', WRITE, {}, undefined],
])('the changes of %s', (_, which, args, changes) => {
  expect(changesMadeBy({ name: which.name, args, tool: which })).toEqual(changes);
});

it.each([
  ['as text', 'a', 'a'],
  ['of JSON', { a: 1 }, '{"a":1}'],
  ['of nothing', undefined, 'null'],
])('a result %s', (_, result, text) => {
  expect(toText(result)).toBe(text);
});

it('a result of up to 32 KiB is whole, a longer one names where the rest is', () => {
  const fits = 'x'.repeat(32 * 1024);
  expect(shorten(fits, 'r')).toEqual({ shown: fits, isWhole: true });
  const { shown, isWhole } = shorten(`${'a'.repeat(30_000)}${'b'.repeat(30_000)}`, 'res_1');
  expect(isWhole).toBe(false);
  expect(shown).toMatch(/^a{24576}\n\n\[… 27232 of 60000 characters .*"res_1"\.\]\n\nb{8192}$/);
});

it('a result is cut at no half of a character, and has none', () => {
  const { shown } = shorten(`x${'🎈'.repeat(30_000)}`, 'r');
  expect(shown).toBe(shown.toWellFormed());
  expect(shown).not.toContain('\ufffd');
  expect(shorten('\ud800', 'r').shown).toBe('\ufffd');
});

it('a call that is not allowed has an end of its own', () => {
  expect(denial('A rule denies it.')).toEqual({ outcome: 'denied', text: 'This was not done. A rule denies it.' });
  expect(rejection({ decision: 'timed_out' }).text).toContain('Nobody decided');
  expect(rejection({ decision: 'reject' })).toEqual({
    outcome: 'rejected',
    text: 'The person rejected this call: it was not made.',
  });
  expect(rejection({ decision: 'reject', feedback: 'Use b.' }).text).toContain('They say: Use b.');
  expect(lateEnd(1_500)).toEqual({ outcome: 'timed_out', text: expect.stringContaining('within 1.5 s') });
});

it('a decision stands with the call, and edited arguments in place of the old ones', () => {
  const decision = { decision: 'edit', by: 'user', decidedAt: 1 } as const;
  const item = callOf('read_file', '{}', { path: 'a' });
  expect(withResolution(item, decision).toolCall).toEqual({ ...item.toolCall, decision });
  expect(withResolution(item, decision, { path: 'b' }).toolCall?.arguments).toEqual({ path: 'b' });
});
