import { execFileSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { workspaceEnvironment } from './workspace-environment.ts';

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'environment-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('has the folder, the system and the day', async () => {
  expect(await workspaceEnvironment({ folder })).toEqual({
    folder,
    system: expect.stringMatching(/^\S+ \S+ \S+$/),
    date: expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
  });
});

it('has the branch, and whether there are changes', async () => {
  execFileSync('git', ['init', '-q', '-b', 'feature/x', folder]);
  expect((await workspaceEnvironment({ folder })).git).toEqual({ branch: 'feature/x', isDirty: false });
  writeFileSync(join(folder, 'new.txt'), '');
  expect((await workspaceEnvironment({ folder })).git).toEqual({ branch: 'feature/x', isDirty: true });
});

it('has AGENTS.md of the folder, cut where it is long, and through no link', async () => {
  const file = join(folder, 'AGENTS.md');
  writeFileSync(file, 'Use tabs.');
  expect((await workspaceEnvironment({ folder })).instructions).toBe('Use tabs.');
  writeFileSync(file, 'x'.repeat(40_000));
  const { instructions = '' } = await workspaceEnvironment({ folder });
  expect(instructions.length).toBeLessThanOrEqual(32 * 1024);
  expect(instructions).toContain('The rest is left out');
  rmSync(file);
  symlinkSync('/etc/passwd', file);
  expect((await workspaceEnvironment({ folder })).instructions).toBeUndefined();
});
