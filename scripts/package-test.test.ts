import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify, stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { root } from './setup.mjs';

const packages = readdirSync(join(root, 'packages'));
const scriptsOf = (folder: string): Record<string, string> =>
  JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')).scripts;

describe('in the folder of a package', () => {
  it.each(packages)('%s can be tested, linted, formatted and type-checked', (name) => {
    expect(Object.keys(scriptsOf(`packages/${name}`))).toEqual(
      expect.arrayContaining(['test', 'lint', 'format', 'typecheck']),
    );
  });

  it('agent-runtime has the commands of the database, as the root has them', () => {
    const own = scriptsOf('packages/agent-runtime');
    const ofRoot = Object.entries(scriptsOf('.')).filter(([name]) => name.startsWith('db:'));
    expect(ofRoot).toHaveLength(3);
    for (const [name, command] of ofRoot) expect(own[name]).toBe(command.replace('scripts/', '../../scripts/'));
  });

  it('the root runs no script of theirs but build and dev', () => {
    const { tasks } = JSON.parse(readFileSync(join(root, 'turbo.json'), 'utf8'));
    expect(Object.keys(tasks)).toEqual(['build', 'dev']);
    for (const command of Object.values(scriptsOf('.'))) expect(command).not.toMatch(/--workspace|npm run .* -w/);
  });

  it('a test file that is named from there runs alone, though others of the same name exist', async () => {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')));
    const script = join(root, 'scripts', 'package-test.mjs');
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [script, 'src/env.test.ts', '-t', 'names both at once'],
      {
        cwd: join(root, 'packages', 'gateway'),
        env,
      },
    );
    expect(stripVTControlCharacters(stdout)).toMatch(/Test Files +1 passed \(1\)\n/);
    expect(stdout).toContain('packages/gateway/src/env.test.ts');
  });
});
