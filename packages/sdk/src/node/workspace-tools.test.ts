import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Tool, ToolContext } from '../tools.ts';
import { workspaceTools } from './workspace-tools.ts';

let outer: string;
let folder: string;
beforeEach(() => {
  outer = realpathSync(mkdtempSync(join(tmpdir(), 'codelab-tools-')));
  folder = join(outer, 'workspace');
  mkdirSync(folder);
});
afterEach(() => rmSync(outer, { recursive: true, force: true }));

const context = (signal = new AbortController().signal): ToolContext => ({
  sessionId: 's',
  callId: 'c',
  signal,
  progress: () => {},
});
const call = (name: string, args: Record<string, unknown>, signal?: AbortSignal) =>
  (workspaceTools({ folder })[name] as Tool).run(args, context(signal)) as Promise<string>;
/** One that has ended and that nobody has asked about yet still has its number. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
const get = (path: string) => readFileSync(join(folder, path), 'utf8');

it('writes, reads, lists, finds and deletes', async () => {
  await call('write_file', { path: 'a/b/c.ts', content: 'one\ntwo\nthree' });
  expect(await call('read_file', { path: 'a/b/c.ts' })).toBe('one\ntwo\nthree');
  expect(await call('read_file', { path: './a/../a/b/c.ts', start_line: 2, end_line: 2 })).toBe('two');
  put('x.md', '# Two');
  mkdirSync(join(folder, 'node_modules'));
  expect(await call('list_files', {})).toBe('a/\nx.md');
  expect(await call('list_files', { pattern: '**/*.ts' })).toBe('a/b/c.ts');
  expect(await call('search_in_code', { query: 'two' })).toBe('x.md:1: # Two\na/b/c.ts:2: two');
  expect(await call('search_in_code', { query: 't.o$', is_regex: true, case_sensitive: true, path: 'a' })).toBe(
    'a/b/c.ts:2: two',
  );
  await call('delete_file', { path: 'x.md' });
  expect(existsSync(join(folder, 'x.md'))).toBe(false);
});

it.each(['../secret', '/etc/passwd', 'a/../../secret', 'link/secret', 'dangling'])('%s is outside', async (path) => {
  writeFileSync(join(outer, 'secret'), 'secret');
  symlinkSync(outer, join(folder, 'link'));
  symlinkSync(join(outer, 'not-yet'), join(folder, 'dangling'));
  for (const [name, args] of [
    ['read_file', { path }],
    ['write_file', { path, content: 'x' }],
    ['delete_file', { path: path === 'dangling' ? '../secret' : path }],
    ['list_files', { path }],
    ['apply_patch', { patch: `--- /dev/null\n+++ b/${path}\n@@ -0,0 +1,1 @@\n+x\n` }],
    ['run_command', { command: 'true', cwd: path }],
  ] as const)
    await expect(call(name, args)).rejects.toThrow(/outside the workspace|leads nowhere|no file|There is no folder/);
  expect(readFileSync(join(outer, 'secret'), 'utf8')).toBe('secret');
  expect(existsSync(join(outer, 'not-yet'))).toBe(false);
});

it('takes a call by the names that the rules were asked about, and leaves out what they deny', async () => {
  mkdirSync(join(folder, 'secrets'));
  put('secrets/key', 'secret');
  put('open', 'secret');
  symlinkSync('secrets', join(folder, 'link'));
  const tools = workspaceTools({ folder });
  const run = (name: string, args: Record<string, unknown>, policy: Partial<ToolContext>) =>
    (tools[name] as Tool).run(args, { ...context(), ...policy });
  const denied = ['secrets/**'];
  await expect(run('read_file', { path: 'secrets/key' }, { denied })).rejects.toThrow('A rule denies');
  await expect(run('read_file', { path: 'link/key' }, { denied })).rejects.toThrow('A rule denies');
  await expect(run('read_file', { path: 'link/key' }, {})).rejects.toThrow('is really "secrets/key"');
  await expect(run('read_file', { path: 'open' }, { paths: ['other'] })).rejects.toThrow('is really "open"');
  await expect(run('list_files', { path: 'link' }, { paths: ['link'] })).rejects.toThrow('is really "secrets"');
  expect(await run('search_in_code', { query: 'secret' }, { denied })).toBe('open:1: secret');
  expect(await run('list_files', { recursive: true }, { denied })).toBe('link\nopen');
  // A person was asked about the path as it stands.
  const path = join(folder, 'open');
  expect(await run('read_file', { path }, { paths: [path] })).toBe('secret');
  await expect(run('read_file', { path: join(folder, 'secrets/key') }, { denied })).rejects.toThrow('A rule denies');
});

it('says what is wrong, so that the model can do better', async () => {
  mkdirSync(join(folder, 'dir'));
  put('binary', 'a\0b');
  await expect(call('read_file', { path: 'none' })).rejects.toThrow('There is no file "none"');
  await expect(call('read_file', { path: 'dir' })).rejects.toThrow('is a folder');
  await expect(call('read_file', { path: 'binary' })).rejects.toThrow('not a text file');
  await expect(call('delete_file', { path: 'dir' })).rejects.toThrow('only files');
  await expect(call('search_in_code', { query: '(', is_regex: true })).rejects.toThrow('no regular expression');
});

it('applies all of a patch, or nothing of it', async () => {
  put('a', '1\n2\n3\n');
  put('b', 'x\n');
  const patch = (second: string) =>
    `--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n 1\n-2\n+TWO\n 3\n--- /dev/null\n+++ b/new/c\n@@ -0,0 +1,1 @@\n+c\n--- a/b\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-${second}\n`;
  await expect(call('apply_patch', { patch: patch('not there') })).rejects.toThrow('does not fit b');
  expect(get('a')).toBe('1\n2\n3\n');
  expect(existsSync(join(folder, 'new'))).toBe(false);
  expect(await call('apply_patch', { patch: patch('x') })).toBe('Changed: a, new/c, b.');
  expect(get('a')).toBe('1\nTWO\n3\n');
  expect(get('new/c')).toBe('c\n');
  expect(existsSync(join(folder, 'b'))).toBe(false);
  await expect(call('apply_patch', { patch: patch('x') })).rejects.toThrow();
});

it('applies all hunks of a patch that names a file more than once', async () => {
  put('a', '1\n2\n3\n4\n5\n');
  const first = '--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n-1\n+ONE\n 2\n';
  const second = '--- a/a\n+++ b/a\n@@ -4,2 +4,2 @@\n 4\n-5\n+FIVE\n';
  const made = '--- /dev/null\n+++ b/b\n@@ -0,0 +1,1 @@\n+b\n--- a/b\n+++ b/b\n@@ -1,1 +1,1 @@\n-b\n+B\n';
  expect(await call('apply_patch', { patch: first + second + made })).toBe('Changed: a, b.');
  expect([get('a'), get('b')]).toEqual(['ONE\n2\n3\n4\nFIVE\n', 'B\n']);
  const removal = '--- a/b\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-B\n';
  await expect(call('apply_patch', { patch: removal + made.slice(made.indexOf('--- a/b')) })).rejects.toThrow(
    'no file',
  );
  expect(await call('apply_patch', { patch: removal + made })).toBe('Changed: b.');
  expect(get('b')).toBe('B\n');
  const passing =
    made.slice(0, made.indexOf('--- a/b')).replace('b/b', 'b/c') + removal.replace('-B', '-b').replace('a/b', 'a/c');
  expect(await call('apply_patch', { patch: passing })).toBe('Changed: c.');
  expect(existsSync(join(folder, 'c'))).toBe(false);
});

it('removes no file of which the patch has only a part', async () => {
  put('a', '1\n2\n3\n');
  const part = '--- a/a\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-1\n';
  await expect(call('apply_patch', { patch: part })).rejects.toThrow('not all that is in it');
  expect(get('a')).toBe('1\n2\n3\n');
});

it('runs commands with both outputs and the exit code, and ends them with all they started', async () => {
  const text = await call('run_command', { command: 'echo out; echo err >&2; pwd; exit 3' });
  const [end, ...lines] = text.trimEnd().split('\n');
  expect(end).toBe('It ended with exit code 3.');
  // Two pipes have no order between them.
  expect(lines.sort()).toEqual([folder, 'err', 'out'].sort());
  expect(await call('run_command', { command: 'sleep 60 & sleep 60', timeout_seconds: 1 })).toContain(
    'ended after 1 s',
  );
  const stop = new AbortController();
  const running = call('run_command', { command: 'echo $$ > pid; sleep 60 & echo $! >> pid; wait' }, stop.signal);
  while (!existsSync(join(folder, 'pid')) || get('pid').split('\n').length < 3)
    await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await running;
  for (const pid of get('pid').trim().split('\n').map(Number)) expect(isRunning(pid)).toBe(false);
});

it('commands find no keys of ours, nor of providers, unless they are given them', async () => {
  const names = [
    'GATEWAY__INTERNAL_API_KEY',
    'AGENT_RUNTIME__DATABASE_URL',
    'LLM_PROXY__OPENAI_API_KEY',
    'CODELAB_TOKEN',
    'OPENAI_API_KEY',
    'ANTHROPIC_API_KEY',
    'ANTHROPIC_AUTH_TOKEN',
    'CLAUDE_CODE_OAUTH_TOKEN',
    'AZURE_API_KEY',
    'OLLAMA_API_KEY',
    'TOGETHER_API_KEY',
    'Fireworks_Api_Key',
    'LITELLM_MASTER_KEY',
    'OPENAI_API_KEY_2',
    'HF_TOKEN',
    'HUGGING_FACE_HUB_TOKEN',
    'REPLICATE_API_TOKEN',
    'AWS_BEARER_TOKEN_BEDROCK',
  ];
  for (const name of names) vi.stubEnv(name, 's3cret');
  vi.stubEnv('OWN_SETTING', 'kept');
  try {
    const shown = await call('run_command', { command: 'env' });
    expect(shown).not.toContain('s3cret');
    expect(shown).toContain('OWN_SETTING=kept');
    const { run_command: command } = workspaceTools({ folder, env: process.env });
    expect(await command?.run({ command: 'echo $OPENAI_API_KEY' }, context())).toContain('s3cret');
  } finally {
    vi.unstubAllEnvs();
  }
});

it('commands end with the process', async () => {
  const running = call('run_command', { command: 'echo $$ > pid; sleep 60 & echo $! >> pid; wait' });
  while (!existsSync(join(folder, 'pid')) || get('pid').split('\n').length < 3)
    await new Promise((resolve) => setImmediate(resolve));
  for (const listener of process.listeners('exit')) if (listener.name === 'endCommands') listener(0);
  await running;
  for (const pid of get('pid').trim().split('\n').map(Number)) expect(isRunning(pid)).toBe(false);
});

it('keeps the beginning and the end of a long output', async () => {
  const text = await call('run_command', { command: 'seq 1 100000' });
  expect(text.length).toBeLessThan(70_000);
  expect(text).toContain('\n1\n2\n');
  expect(text).toContain('characters left out');
  expect(text.trimEnd().endsWith('100000')).toBe(true);
});

it('has prompt_user only where somebody asks', async () => {
  expect(workspaceTools({ folder }).prompt_user).toBeUndefined();
  const tools = workspaceTools({ folder, promptUser: async (question, choices) => `${question} ${choices}` });
  expect(await tools.prompt_user?.run({ question: 'Which?', choices: ['a', 'b'] }, context())).toBe('Which? a,b');
});

const foresee = (name: string, args: Record<string, unknown>, policy: Partial<ToolContext> = {}) =>
  (workspaceTools({ folder })[name] as Tool).preview?.(args, { ...context(), ...policy });

it('foresees what is written and deleted, and does nothing', async () => {
  put('a', 'one\n');
  put('binary', 'a\0b');
  writeFileSync(join(folder, 'latin1'), Buffer.from([0xe9, 0x0a]));
  writeFileSync(join(folder, 'large'), Buffer.alloc(4 * 1024 * 1024 + 1, 'x\n'));
  const change = async (name: string, args: Record<string, unknown>) => (await foresee(name, args))?.[0];
  expect(await change('write_file', { path: './a', content: 'two\n' })).toMatchObject({
    path: 'a',
    change: 'modify',
    hunks: [{ lines: ['-one', '+two'] }],
  });
  expect(await change('write_file', { path: 'b/c', content: 'x' })).toMatchObject({ path: 'b/c', change: 'create' });
  expect(await change('delete_file', { path: 'a' })).toMatchObject({ change: 'delete', hunks: [{ lines: ['-one'] }] });
  expect(await foresee('delete_file', { path: 'none' })).toBeUndefined();
  for (const [path, omitted] of [
    ['binary', 'binary'],
    ['latin1', 'binary'],
    ['large', 'too_large'],
  ] as const) {
    expect(await change('write_file', { path, content: 'x' })).toEqual({ path, change: 'modify', hunks: [], omitted });
    expect(await change('delete_file', { path })).toEqual({ path, change: 'delete', hunks: [], omitted });
  }
  expect(get('a')).toBe('one\n');
  expect(existsSync(join(folder, 'b'))).toBe(false);
  for (const name of ['read_file', 'apply_patch', 'run_command'])
    expect(workspaceTools({ folder })[name]).not.toHaveProperty('preview');
});

it('foresees nothing of what the call itself must not touch', async () => {
  writeFileSync(join(outer, 'secret'), 'secret');
  mkdirSync(join(folder, 'secrets'));
  put('secrets/key', 'secret');
  symlinkSync(outer, join(folder, 'out'));
  symlinkSync('secrets', join(folder, 'link'));
  const policy = { paths: ['link/key', 'secrets/key'], denied: ['secrets/**'] };
  for (const [path, given, why] of [
    ['../secret', {}, 'outside the workspace'],
    ['out/secret', {}, 'outside the workspace'],
    ['link/key', {}, 'is really "secrets/key"'],
    ['link/key', policy, 'A rule denies'],
    ['secrets/key', policy, 'A rule denies'],
    ['secrets', {}, 'is no file'],
  ] as const) {
    await expect(foresee('write_file', { path, content: 'x' }, given)).rejects.toThrow(why);
    await expect(foresee('delete_file', { path }, given)).rejects.toThrow(why);
  }
});
