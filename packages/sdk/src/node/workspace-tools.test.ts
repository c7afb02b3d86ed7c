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
import { afterEach, beforeEach, expect, it } from 'vitest';
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
