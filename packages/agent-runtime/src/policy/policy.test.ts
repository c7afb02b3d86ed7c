import { readFileSync } from 'node:fs';
import { normalizePath, type Rule, type ToolKind } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { evaluate, rememberedResource } from './policy.ts';
import { PROTECTED_PATHS } from './protected-paths.ts';

const rule = (effect: Rule['effect'], resource = '**', tool = '*'): Rule => ({ tool, resource, effect });
const act = (kind: ToolKind, ...resources: string[]) => ({
  tool: 'the_tool',
  kind,
  resources: kind === 'execute' ? resources : resources.map((path) => normalizePath(path)),
});
const effect = (...args: Parameters<typeof evaluate>) => evaluate(...args).effect;

it('without rules only what reads is allowed', () => {
  expect(effect(act('read', 'a'), [])).toBe('allow');
  for (const kind of ['write', 'delete', 'execute'] as const) expect(effect(act(kind, 'a'), [])).toBe('ask');
});

it('a deny wins over an allow, an allow over an ask, whatever their order', () => {
  const rules = [rule('allow'), rule('ask'), rule('deny', 'secret/**')];
  for (const all of [rules, [...rules].reverse()]) {
    expect(effect(act('read', 'secret/a'), all)).toBe('deny');
    expect(effect(act('write', 'a'), all)).toBe('allow');
  }
  expect(effect(act('read', 'a'), [rule('ask')])).toBe('ask');
});

it('one denied file denies the whole call; an allow must cover all of them', () => {
  expect(effect(act('write', 'a.md', 'b.ts'), [rule('deny', '!**/*.md')])).toBe('deny');
  expect(effect(act('write', 'a.md', 'b.ts'), [rule('allow', '**/*.md')])).toBe('ask');
  expect(effect(act('write', 'a.md', 'docs/b.md'), [rule('allow', '**/*.md')])).toBe('allow');
});

it.each([
  'secret/x',
  './secret/x',
  'a/../secret/x',
  'a\\..\\secret\\x',
  'secret//x',
  'secret/x/',
  'SECRET/x',
  'secret./x',
])('%s is no way around', (path) => {
  expect(effect(act('write', path), [rule('allow'), rule('deny', 'secret/**')])).toBe('deny');
});

it('a command that was allowed by a glob may not bring others with it', () => {
  const rules = [rule('allow', 'git *')];
  expect(effect(act('execute', 'git add src/a.ts'), rules)).toBe('allow');
  for (const command of [
    'git log; rm -rf /',
    'git log && x',
    'git log | sh',
    'git $(x)',
    'git `x`',
    'git log\nx',
    'git log > f',
  ])
    expect(effect(act('execute', command), rules)).toBe('ask');
  expect(effect(act('execute', 'git log; rm -rf /'), [rule('deny', '*rm -rf*')])).toBe('deny');
});

it('a remembered yes to a command stands for that command alone, to a write for all files', () => {
  const command = act('execute', 'echo [a-z]* | wc -l');
  const remembered = rememberedResource(command);
  expect(effect(command, [rule('allow', remembered)])).toBe('allow');
  expect(effect(act('execute', 'echo bcd | wc -l'), [rule('allow', remembered)])).toBe('ask');
  expect(rememberedResource(act('write', 'a'))).toBe('**');
  expect(rememberedResource(act('execute', 'x'.repeat(2_000)))).toBeUndefined();
});

it.each(['/etc/passwd', '../x', '~/x', 'C:\\x', 'file:///x', 'a/../../x'])(
  '%s is asked for, whatever is allowed',
  (path) => {
    const rules = [rule('allow'), rule('allow', '**/*'), rule('allow', path), rule('allow', '!secret/**')];
    for (const kind of ['read', 'write', 'delete'] as const) {
      expect(effect(act(kind, path), rules)).toBe('ask');
      expect(rememberedResource(act(kind, path))).toBeUndefined();
    }
    expect(effect(act('write', path), [rule('deny', '**/{passwd,x}')])).toBe('deny');
  },
);

it.each([
  '.git/hooks/pre-commit',
  'sub/.git',
  '.GIT/config',
  '.vscode/tasks.json',
  '.env',
  'a/.env.local',
  '.github/workflows/x.yml',
])('%s is never covered by a yes for other files', (path) => {
  const covered = [rule('allow'), rule('allow', '**/*'), rule('allow', `${path.slice(0, 2)}*/**`), rule('allow', '!x')];
  for (const kind of ['write', 'delete'] as const) {
    expect(effect(act(kind, path, 'src/a.ts'), covered)).toBe('ask');
    expect(rememberedResource(act(kind, path))).toBeUndefined();
    expect(effect(act(kind, path), [rule('allow', path)])).toBe('allow');
  }
  expect(effect(act('read', path), [rule('allow')])).toBe('allow');
});

it('a glob that names what is protected covers it', () => {
  expect(effect(act('write', '.github/workflows/x.yml'), [rule('allow', '.github/workflows/*.yml')])).toBe('allow');
  expect(effect(act('write', '.github/workflows/x.yml'), [rule('allow', '.github/**')])).toBe('ask');
  expect(effect(act('write', 'package.json'), [rule('allow')])).toBe('allow');
});

it('rules may name the files of the project from the top', () => {
  const own = { ...act('write', 'src/a'), project: '/home/me/ws' };
  expect(effect(own, [rule('deny', '/home/me/ws/src/**')])).toBe('deny');
  expect(effect(own, [rule('allow', '/home/me/ws/src/**')])).toBe('allow');
});

it.each([
  '/home/me/**',
  '/**/secret/**',
  '/home/*/ws/secret/**',
  '/home/me/x/../ws/secret/**',
  '/home//me/./ws/secret/',
  '\\\\home\\me\\ws\\secret\\**',
  '\\home\\me\\ws\\secret\\key',
  'file:///home/me/ws/secret/**',
  'file://localhost/home/me/w%73/secret/**',
  '/ho\\me/me/ws/secret/**',
  '/HOME/me/WS/Secret/**',
  '../ws/secret/**',
  '{/home/me/ws/secret,/x}/**',
  'x/../secret/**',
  'secret\\**',
])('a deny and an ask of %s count for secret/key of /home/me/ws', (glob) => {
  const secret = { ...act('read', 'secret/key'), project: '/home/me/ws' };
  expect(effect(secret, [rule('deny', glob)])).toBe('deny');
  expect(effect(secret, [rule('ask', glob)])).toBe('ask');
  expect(effect({ ...secret, ...act('read', 'src/a') }, [rule('deny', glob)])).toBe(
    glob === '/home/me/**' ? 'deny' : 'allow',
  );
});

it.each([
  'C:/Users/me/proj/secret/**',
  'c:/Users/me/proj/secret/**',
  'C:/users/ME/proj/secret/**',
  'C:\\Users\\me\\proj\\secret\\**',
  'C:\\\\Users\\\\me\\\\proj\\\\secret\\\\**',
  'C:/Users/me/**',
  'C:/**',
  '/Users/me/proj/secret/**',
  'file:///c:/Users/me/proj/secret/**',
])('a deny of %s counts for secret\\key of C:\\Users\\me\\proj', (glob) => {
  const project = 'C:\\Users\\me\\proj';
  const secret = {
    tool: 'the_tool',
    kind: 'read' as const,
    resources: [normalizePath('secret\\key', project)],
    project,
  };
  expect(effect(secret, [rule('deny', glob)])).toBe('deny');
});

it('a character of a glob stands for any, whatever it is made of', () => {
  for (const glob of ['secret/?', 'secret/[!a]', 'secret/??.txt'])
    expect([
      glob,
      effect(act('read', glob.endsWith('t') ? 'secret/a😀.txt' : 'secret/😀'), [rule('deny', glob)]),
    ]).toEqual([glob, 'deny']);
  expect(effect(act('read', 'secret/ab'), [rule('deny', 'secret/?')])).toBe('allow');
});

it('a glob that is turned round leaves out the files of the project by their names from the top too', () => {
  const of = (path: string) => ({ ...act('write', path), project: '/home/me/ws' });
  for (const glob of [
    '!/home/me/ws/secret/**',
    '!/home/me/ws/x/../Secret/**',
    '!/**/secret/**',
    '!\\home\\me\\ws\\secret\\**',
  ]) {
    expect([glob, effect(of('secret/key'), [rule('allow', glob)])]).toEqual([glob, 'ask']);
    expect([glob, effect(of('src/a'), [rule('allow', glob)])]).toEqual([glob, 'allow']);
    expect([glob, effect(act('write', 'src/a'), [rule('allow', glob)])]).toEqual([glob, 'ask']);
  }
  for (const glob of ['!/home/me/ws/src/**', '!/home/me/ws/x/../src/**', '!/home/*/ws/src/**']) {
    expect([glob, effect(of('src/a'), [rule('deny', glob)])]).toEqual([glob, 'ask']);
    expect([glob, effect(of('SRC/a'), [rule('deny', glob)])]).toEqual([glob, 'deny']);
  }
});

it('what a rule allows it says: no other case, no other spelling, no folder above', () => {
  const own = { ...act('write', 'src/a'), project: '/home/me/ws' };
  for (const glob of ['/home/me/**', '/HOME/me/ws/src/**', '/home/me/x/../ws/src/**', '/home/me/ws/SRC/**', 'src\\**'])
    expect([glob, effect(own, [rule('allow', glob)])]).toEqual([glob, 'ask']);
});

it('what is too much to be told is denied where it may be, and allowed nowhere', () => {
  const files = Array.from({ length: 1_000 }, (_, index) => `${'a/'.repeat(500)}${index}`);
  const explosive = `${'*a'.repeat(400)}/**/*b`;
  expect(evaluate(act('write', ...files), [rule('deny', explosive)])).toMatchObject({
    effect: 'deny',
    reason: expect.stringContaining('do less at once'),
  });
  expect(effect(act('write', ...files), [rule('allow', explosive)])).toBe('ask');
  expect(effect(act('execute', 'x'), [rule('deny', 'a'.repeat(2_000))])).toBe('deny');
  expect(effect(act('execute', 'x'), [rule('allow', 'a'.repeat(2_000))])).toBe('ask');
});

it('a tool that executes may name a file, and is held to the rules for files too', () => {
  expect(effect(act('execute', 'a/../.ENV'), [rule('allow'), rule('deny', '**/.env')])).toBe('deny');
});

it('rules are for the tools that they name', () => {
  expect(effect(act('write', 'a'), [rule('deny', '**', 'other_*')])).toBe('ask');
  expect(effect(act('write', 'a'), [rule('deny', '**', 'the_*')])).toBe('deny');
});

it('PROTOCOL.md has the list of what is protected', () => {
  const document = readFileSync(new URL('../../../../PROTOCOL.md', import.meta.url), 'utf8');
  expect(PROTECTED_PATHS.filter((glob) => !document.includes(`\`${glob.replace(/^\*\*\//, '')}\``))).toEqual([]);
});
