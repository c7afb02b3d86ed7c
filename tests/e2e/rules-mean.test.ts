import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Approval, ApprovalHandler, Session } from '../../packages/sdk/src/index.ts';
import { workspaceTools } from '../../packages/sdk/src/node/index.ts';
import { conversationOf } from '../support/fake-provider.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

let outer: string;
let folder: string;
beforeEach(() => {
  outer = realpathSync(mkdtempSync(join(tmpdir(), 'codelab-rules-')));
  folder = join(outer, 'ws');
  for (const name of ['src', 'secrets', '.git/hooks']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, '.env'), 'PASSWORD=hunter2\n');
  writeFileSync(join(folder, 'secrets/key'), 'PASSWORD=hunter2\n');
  writeFileSync(join(folder, 'src/a.ts'), 'export const password = "none";\n');
  symlinkSync(join(folder, 'secrets'), join(folder, 'link'));
  symlinkSync('../.env', join(folder, 'src/settings'));
  symlinkSync('src', join(folder, 'code'));
});
afterEach(() => rmSync(outer, { recursive: true, force: true }));

const yes: ApprovalHandler = () => ({ decision: 'allow' });

async function makeSession(handler: ApprovalHandler = yes, project?: string) {
  const asked: Approval[] = [];
  const client = story.stack.client({ tools: workspaceTools({ folder }) });
  const session = await client.sessions.create(project === undefined ? {} : { project });
  session.onApproval((approval, context) => {
    asked.push(approval);
    return handler(approval, context);
  });
  return { session, asked };
}

/** Lets the model make calls, and returns the results that it is given. */
async function call(session: Session, ...calls: Array<{ name: string; args: object }>): Promise<string[]> {
  const run = session.send('go');
  const first = await story.provider.next();
  await first.tools(...calls);
  await first.finish('tool_calls');
  const next = await story.provider.next();
  await next.finish();
  await run.finished();
  return conversationOf(next)
    .slice(-calls.length)
    .map(({ content }) => content as string);
}

const patch = (path: string) => `--- a/${path}\n+++ b/${path}\n@@ -1,1 +1,1 @@\n-PASSWORD=hunter2\n+PASSWORD=mine\n`;

describe('what a rule denies', () => {
  const spellings = () => [
    '.env',
    '.env/',
    './/.env',
    'src/../.env',
    'src\\..\\.env',
    '../ws/.env',
    join(folder, '.env'),
    'src/settings',
    'code/settings',
    'secrets/key',
    join(folder, 'secrets/key'),
    '../ws/secrets/key',
    'link/key',
    'link/../secrets/key',
    `file://${folder}/.env`,
  ];

  it.each([
    ['of a project that has a name', 'a-project'],
    ['of a project that is the folder', undefined],
  ])('is neither read nor written, however its path is spelled, in a session %s', async (_, named) => {
    const { session } = await makeSession(yes, named ?? folder);
    await session.rules.add({ tool: '*', effect: 'allow' });
    await session.rules.add({ tool: '*', resource: '**/.env', effect: 'deny' });
    await session.rules.add({ tool: '*', resource: 'secrets/**', effect: 'deny' });
    const calls = spellings().flatMap((path) => [
      { name: 'read_file', args: { path } },
      { name: 'search_in_code', args: { query: 'PASSWORD', path } },
      { name: 'write_file', args: { path, content: 'mine' } },
      { name: 'apply_patch', args: { patch: patch(path) } },
      { name: 'delete_file', args: { path } },
    ]);
    const results = await call(session, ...calls);
    for (const [index, result] of results.entries())
      expect([calls[index], result]).toEqual([calls[index], expect.not.stringContaining('hunter2')]);
    expect(results.filter((result) => /is written|is deleted|Changed:/.test(result))).toEqual([]);
    for (const path of ['.env', 'secrets/key'])
      expect(readFileSync(join(folder, path), 'utf8')).toBe('PASSWORD=hunter2\n');
  });

  it('is denied before anybody is asked, where the spelling tells, in another case too', async () => {
    const { session, asked } = await makeSession();
    await session.rules.add({ tool: '*', resource: '**/.env', effect: 'deny' });
    const paths = ['.env/', '.ENV', 'src/../.Env', join(folder, '.env'), '.env.'];
    const results = await call(session, ...paths.map((path) => ({ name: 'write_file', args: { path, content: 'x' } })));
    expect(results).toEqual(paths.map(() => expect.stringContaining('A rule denies')));
    expect(asked).toEqual([]);
  });

  it.each<[string, (all: { outer: string; folder: string; link: string }) => { rule: string; project?: string }]>([
    ['of a folder above', ({ outer }) => ({ rule: `${outer}/**` })],
    ['of any folder', () => ({ rule: '/**/secrets/**' })],
    ['of a folder beside it', ({ outer }) => ({ rule: `${join(outer, '..')}/*/ws/secrets/**` })],
    ['with dots', ({ outer }) => ({ rule: `${outer}/x/../ws/secrets/**` })],
    ['with two slashes', ({ outer }) => ({ rule: `${outer}//ws/secrets/**` })],
    ['with backslashes', ({ folder }) => ({ rule: `${folder.replaceAll('/', '\\')}\\secrets\\**` })],
    ['with file:', ({ folder }) => ({ rule: `file://${folder}/secrets/**` })],
    ['with escapes', ({ folder }) => ({ rule: `${folder.replaceAll('-', '\\-')}/secrets/**` })],
    [
      'by the real path of a project that is a link',
      ({ folder, link }) => ({ rule: `${folder}/secrets/**`, project: link }),
    ],
    ['by a link, of a project that is real', ({ link }) => ({ rule: `${link}/secrets/**` })],
    ['in a session without a project', ({ folder }) => ({ rule: `${folder}/secrets/**`, project: '' })],
    ['by a link, in a session without a project', ({ link }) => ({ rule: `${link}/secrets/**`, project: '' })],
    ['of a project that is elsewhere', () => ({ rule: '/elsewhere/*/secrets/**', project: '/elsewhere/ws' })],
    ['by a link within', ({ folder }) => ({ rule: `${folder}/link/**` })],
    ['by a link within, not from the top', () => ({ rule: 'link/**' })],
  ])('from the top, %s, is neither read nor found', async (_, make) => {
    const link = join(outer, 'other-name');
    symlinkSync(folder, link);
    const { rule, project = folder } = make({ outer, folder, link });
    const { session } = await makeSession(yes, project === '' ? undefined : project);
    await session.rules.add({ tool: '*', resource: rule, effect: 'deny' });
    const results = await call(
      session,
      { name: 'read_file', args: { path: 'secrets/key' } },
      { name: 'read_file', args: { path: join(folder, 'secrets/key') } },
      { name: 'search_in_code', args: { query: 'PASSWORD=', path: 'secrets' } },
      { name: 'search_in_code', args: { query: 'PASSWORD=', pattern: 'secrets/**' } },
      { name: 'write_file', args: { path: 'secrets/key', content: 'mine' } },
    );
    expect(results.filter((result) => /hunter2|is written/.test(result))).toEqual([]);
    expect(readFileSync(join(folder, 'secrets/key'), 'utf8')).toBe('PASSWORD=hunter2\n');
  });

  it('but for some, from the top, is all the rest', async () => {
    const { session } = await makeSession(yes, folder);
    await session.rules.add({ tool: '*', resource: `!${folder}/src/**`, effect: 'deny' });
    const [own, other, found] = await call(
      session,
      { name: 'read_file', args: { path: 'src/a.ts' } },
      { name: 'read_file', args: { path: 'secrets/key' } },
      { name: 'search_in_code', args: { query: 'password', path: 'src' } },
    );
    expect(own).toContain('none');
    expect(other).toContain('A rule denies');
    expect(found).toContain('src/a.ts:1');
  });

  it('is left out of lists and searches, over the whole folder too', async () => {
    const { session, asked } = await makeSession();
    await session.rules.add({ tool: '*', resource: '**/.env', effect: 'deny' });
    await session.rules.add({ tool: '*', resource: 'secrets/**', effect: 'deny' });
    const [found, all, matching] = await call(
      session,
      { name: 'search_in_code', args: { query: 'password' } },
      { name: 'list_files', args: { recursive: true } },
      { name: 'list_files', args: { pattern: '**/{.env,key}' } },
    );
    expect(found).toBe('src/a.ts:1: export const password = "none";');
    expect(all).toBe('code\nlink\nsrc/\nsrc/a.ts\nsrc/settings');
    expect(matching).toBe('Nothing was found.');
    expect(asked).toEqual([]);
  });

  it('stays denied where the rule came while a person was asked', async () => {
    const { session } = await makeSession(async () => {
      await session.rules.add({ tool: 'write_file', resource: 'src/**', effect: 'deny' });
      return { decision: 'allow' };
    });
    const [result] = await call(session, { name: 'write_file', args: { path: 'src/a.ts', content: 'changed' } });
    expect(result).toContain('A rule denies');
    expect(readFileSync(join(folder, 'src/a.ts'), 'utf8')).not.toBe('changed');
  });
});

describe('what leaves the workspace', () => {
  it('is asked for, whatever is allowed; a yes is for this once', async () => {
    const { session, asked } = await makeSession(() => ({ decision: 'allow', scope: 'session' }));
    await session.rules.add({ tool: '*', effect: 'allow' });
    const path = join(folder, 'src/a.ts');
    const read = { name: 'read_file', args: { path } };
    expect((await call(session, read, read, { name: 'read_file', args: { path: '../ws/src/a.ts' } }))[0]).toContain(
      'none',
    );
    expect(asked.map(({ options }) => options)).toEqual([
      [{ scope: 'once' }],
      [{ scope: 'once' }],
      [{ scope: 'once' }],
    ]);
    expect(await session.rules.list()).toHaveLength(1);
  });

  it('is inside after all where the project is the folder', async () => {
    const { session, asked } = await makeSession(yes, folder);
    const [one, other] = await call(
      session,
      { name: 'read_file', args: { path: join(folder, 'src/a.ts') } },
      { name: 'read_file', args: { path: '../ws/src/a.ts' } },
    );
    expect(one).toContain('none');
    expect(other).toContain('none');
    expect(asked).toEqual([]);
  });

  it('by a link is refused, and so is another name of something within: the model is told its real one', async () => {
    writeFileSync(join(outer, 'key'), 'hunter2');
    symlinkSync(outer, join(folder, 'out'));
    const { session } = await makeSession();
    await session.rules.add({ tool: '*', resource: 'code/**', effect: 'allow' });
    await session.rules.add({ tool: '*', resource: 'src/**', effect: 'ask' });
    const [out, within, written] = await call(
      session,
      { name: 'read_file', args: { path: 'out/key' } },
      { name: 'read_file', args: { path: 'code/a.ts' } },
      { name: 'write_file', args: { path: 'code/a.ts', content: 'changed' } },
    );
    expect(out).toContain('outside the workspace');
    expect(within).toBe('"code/a.ts" is really "src/a.ts": call it by that name.');
    expect(written).toContain('is really "src/a.ts"');
    expect(readFileSync(join(folder, 'src/a.ts'), 'utf8')).not.toBe('changed');
  });
});

describe('a yes that is remembered', () => {
  const protectedPaths = [
    '.git/hooks/pre-commit',
    '.vscode/tasks.json',
    '.env.local',
    '.github/workflows/ci.yml',
    '.husky/x',
  ];
  const write = (path: string) => ({ name: 'write_file', args: { path, content: 'x' } });

  it('does not stand for what runs by itself or holds secrets: those are asked for each time', async () => {
    const { session, asked } = await makeSession(() => ({ decision: 'allow', scope: 'session' }));
    await call(session, write('one.txt'), write('two.txt'));
    await call(session, write('package.json'));
    expect(asked.map(({ arguments: args }) => args.path)).toEqual(['one.txt', 'two.txt']);
    expect(await session.rules.list()).toMatchObject([{ resource: '**', effect: 'allow' }]);
    for (const path of [...protectedPaths, ...protectedPaths]) {
      await call(session, write(path));
      expect(asked.at(-1)).toMatchObject({ arguments: { path }, options: [{ scope: 'once' }] });
    }
    await call(session, {
      name: 'apply_patch',
      args: { patch: '--- /dev/null\n+++ b/.git/hooks/x\n@@ -0,0 +1,1 @@\n+x\n' },
    });
    expect(asked.at(-1)).toMatchObject({ name: 'apply_patch', options: [{ scope: 'once' }] });
    expect(await session.rules.list()).toHaveLength(1);
  });

  it('stands for them where a person names them', async () => {
    const { session, asked } = await makeSession();
    for (const resource of [...protectedPaths.slice(1), '.git/hooks/*'])
      await session.rules.add({ tool: 'write_file', resource, effect: 'allow' });
    for (const path of protectedPaths) await call(session, write(path));
    expect(asked).toEqual([]);
  });

  it('of a session without a project stands for no other session', async () => {
    const one = await makeSession(() => ({ decision: 'allow', scope: 'project' }));
    await call(one.session, write('one.txt'));
    await call(one.session, write('two.txt'));
    expect(one.asked.map(({ options }) => options)).toEqual([
      [{ scope: 'once' }, { scope: 'session', resource: '**' }],
    ]);
    expect(await one.session.rules.list()).toMatchObject([{ scope: 'session', effect: 'allow' }]);
    const other = await makeSession();
    expect(await other.session.rules.list()).toEqual([]);
    await call(other.session, write('three.txt'));
    expect(other.asked).toHaveLength(1);
    await expect(one.session.rules.add({ tool: '*', effect: 'deny', scope: 'project' })).rejects.toMatchObject({
      code: 'VALIDATION',
      details: [{ path: 'scope' }],
    });
  });

  it('of a project stands for it however its path is spelled', async () => {
    const { session } = await makeSession(yes, folder);
    const rule = { tool: 'write_file', effect: 'allow', scope: 'project' } as const;
    const { ruleId } = await session.rules.add(rule);
    for (const project of [`${folder}/`, folder.replaceAll('/', '//'), join(outer, 'x/../ws'), `${outer}/x/../ws`]) {
      const { session: other, asked } = await makeSession(yes, project);
      await call(other, write('a.txt'));
      expect(asked).toEqual([]);
      expect(await other.rules.add(rule)).toMatchObject({ ruleId });
    }
    const { session: beside } = await makeSession(yes, `${folder}-evil`);
    expect(await beside.rules.list()).toEqual([]);
  });

  it('for all files but some, from the top, does not stand for those', async () => {
    const { session, asked } = await makeSession(yes, folder);
    await session.rules.add({ tool: 'write_file', resource: `!${folder}/secrets/**`, effect: 'allow' });
    await call(session, write('secrets/x'), write('src/b.ts'));
    expect(asked.map(({ arguments: args }) => args.path)).toEqual(['secrets/x']);
  });
});
