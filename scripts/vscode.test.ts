import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './setup.mjs';

interface Configuration {
  name: string;
  cwd: string;
  runtimeExecutable?: string;
  runtimeArgs?: string[];
}

const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));
const { configurations, compounds } = read('.vscode/launch.json') as {
  configurations: Configuration[];
  compounds: Array<{ name: string; configurations: string[] }>;
};
/** Returns the folder of a configuration, from the root. */
const folderOf = ({ cwd }: Configuration) => cwd.replace(/^\$\{workspaceFolder\}\/?/, '');
const byNpm = configurations.filter(({ runtimeExecutable }) => runtimeExecutable === 'npm');

describe('F5 in VS Code', () => {
  it.each(configurations)('$name runs in a folder that exists', (configuration) => {
    expect(existsSync(join(root, folderOf(configuration)))).toBe(true);
  });

  it.each(byNpm)('$name calls a script that exists', (configuration) => {
    const [command, script = ''] = configuration.runtimeArgs ?? [];
    expect(command).toBe('run');
    expect(read(join(folderOf(configuration), 'package.json')).scripts).toHaveProperty(script);
  });

  it.each(['gateway', 'agent-runtime', 'llm-proxy'])('%s can be restarted on save', (service) => {
    const found = byNpm.find((each) => folderOf(each) === `packages/${service}`);
    expect(found?.runtimeArgs).toEqual(['run', 'dev']);
  });

  it.each(compounds)('$name has configurations that exist', (compound) => {
    expect(configurations.map(({ name }) => name)).toEqual(expect.arrayContaining(compound.configurations));
  });
});
