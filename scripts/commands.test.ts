import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askToStop, isRunning, npmCommand, packageCommand } from './commands.mjs';
import { root } from './setup.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'Мой проект, '));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a program of a package', () => {
  const install = (name: string, manifest: object) => {
    const home = join(folder, 'node_modules', name);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'package.json'), JSON.stringify({ name, ...manifest }));
    writeFileSync(join(home, 'cli.js'), 'console.log(JSON.stringify(process.argv.slice(2)))');
  };
  const output = (command: { command: string; args: string[] }) =>
    spawnSync(command.command, command.args, { encoding: 'utf8' }).stdout.trim();

  it('is run by node, with its arguments as they are, in a folder of any name', () => {
    install('one', { bin: './cli.js' });
    expect(output(packageCommand(folder, 'one', ['a b', '"', '%PATH%', 'é']))).toBe('["a b","\\"","%PATH%","é"]');
  });

  it('is found by the name of the package, without its scope, or by its own', () => {
    install('@scope/two', { bin: { two: 'cli.js', other: 'cli.js' } });
    expect(output(packageCommand(folder, '@scope/two', []))).toBe('[]');
    expect(output(packageCommand(folder, '@scope/two', [], 'other'))).toBe('[]');
    expect(() => packageCommand(folder, '@scope/two', [], 'third')).toThrow('@scope/two has no program third');
  });

  it('may be installed further up', () => {
    install('one', { bin: './cli.js' });
    expect(output(packageCommand(join(folder, 'packages', 'sub'), 'one', ['x']))).toBe('["x"]');
  });

  it('that is not there is named, with what to do', () => {
    expect(() => packageCommand(folder, 'none-of-this-name', [])).toThrow(
      'none-of-this-name is not installed: npm install',
    );
  });

  it.each(['turbo', 'vitest'])('%s is one', (name) => {
    const { command, args } = packageCommand(root, name, ['--version']);
    const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/\d+\.\d+\.\d+/) });
  });
});

describe('npm', () => {
  const node = String.raw`C:\Program Files\nodejs\node.exe`;
  const beside = String.raw`C:\Program Files\nodejs\node_modules\npm\bin\npm-cli.js`;
  const running = String.raw`C:\Users\Анна\AppData\Roaming\npm\node_modules\npm\bin\npm-cli.js`;
  const find = (platform: NodeJS.Platform, execPath: string, env: NodeJS.ProcessEnv, present: string[]) =>
    npmCommand(['install'], { platform, env, execPath, exists: (path) => present.includes(path) });

  it('is the one that runs us', () => {
    expect(find('win32', node, { npm_execpath: running }, [running, beside])).toEqual({
      command: node,
      args: [running, 'install'],
    });
  });

  it('is the one beside node where another package manager, or nobody, runs us', () => {
    const yarn = String.raw`C:\yarn\bin\yarn.js`;
    for (const env of [{ npm_execpath: yarn }, {}])
      expect(find('win32', node, env, [yarn, beside])).toEqual({ command: node, args: [beside, 'install'] });
    const script = '/usr/local/lib/node_modules/npm/bin/npm-cli.js';
    expect(find('linux', '/usr/local/bin/node', {}, [script])).toEqual({
      command: '/usr/local/bin/node',
      args: [script, 'install'],
    });
  });

  it('is else the one of the PATH', () => {
    expect(find('linux', '/opt/node', {}, [])).toEqual({ command: 'npm', args: ['install'] });
  });

  it('is there', () => {
    const { command, args } = npmCommand(['--version']);
    expect(spawnSync(command, args, { encoding: 'utf8' }).stdout).toMatch(/^\d+\.\d+/);
  });
});

describe('a service is asked to stop', () => {
  const program = `
    const said = (why) => { process.stdout.write(why); process.exit(0); };
    process.on('SIGTERM', () => said('SIGTERM'));
    process.on('disconnect', () => said('disconnect'));
    process.send('ready');
    setInterval(() => {}, 1000);`;

  it.each(process.platform === 'win32' ? (['win32'] as const) : (['linux', 'darwin', 'win32'] as const))(
    'and not just ended, on %s',
    async (platform) => {
      const file = join(folder, 'service.cjs');
      writeFileSync(file, program);
      const service = fork(file, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
      const said = text(service.stdout as NodeJS.ReadableStream);
      await once(service, 'message');
      const exit = once(service, 'exit');
      askToStop(service, platform);
      expect(await exit).toEqual([0, null]);
      expect(await said).toBe(platform === 'win32' ? 'disconnect' : 'SIGTERM');
      expect(isRunning(service.pid as number)).toBe(false);
    },
  );
});

it('no script starts what has no program file on Windows, or what a shell would have to read', () => {
  const scripts = readdirSync(join(root, 'scripts')).filter((file) => file.endsWith('.mjs'));
  for (const file of scripts)
    expect(readFileSync(join(root, 'scripts', file), 'utf8'), file).not.toMatch(
      /'\.bin'|spawn(Sync)?\('np[mx]'|shell: (true|process)/,
    );
});
