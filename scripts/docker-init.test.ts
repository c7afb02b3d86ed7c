import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'dotenv';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEYS, KEYS_OF } from './env-keys.mjs';
import { root } from './setup.mjs';

// The containers are Linux, whatever machine they are on.
describe.skipIf(process.platform === 'win32')('before the services, in their containers', { timeout: 30_000 }, () => {
  const isRoot = process.getuid?.() === 0;
  let folder: string;
  let project: string;
  let keys: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'codelab-'));
    project = join(folder, 'Мой проект');
    keys = join(folder, 'keys');
    for (const each of [project, keys]) mkdirSync(each);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const init = (...volumes: string[]) =>
    spawnSync(process.execPath, [join(root, 'scripts', 'docker-init.mjs'), project, keys, ...volumes], {
      encoding: 'utf8',
    });
  const env = () => parse(readFileSync(join(project, '.env')));
  const handedOverTo = (service: string) => parse(readFileSync(join(keys, service, 'keys')));
  /** What the three get, together. */
  const handedOver = () => Object.assign({}, ...Object.keys(KEYS_OF).map(handedOverTo));
  const writeEnv = (text: string) => writeFileSync(join(project, '.env'), text);
  const pick = (values: Record<string, string>) => Object.fromEntries(KEYS.map((name) => [name, values[name]]));
  /** What a service sees that is started with `given` in its environment. */
  const serviceEnvironment = (given: Record<string, string>, service = 'gateway') => {
    const script = readFileSync(join(root, 'scripts', 'docker-entrypoint.sh'), 'utf8');
    expect(script).toContain('keys=/run/codelab/keys');
    const own = script.replace('keys=/run/codelab/keys', `keys='${join(keys, service, 'keys')}'`);
    const { stdout, status } = spawnSync(
      'sh',
      ['-c', own, 'entrypoint', process.execPath, '-p', 'JSON.stringify(process.env)'],
      {
        encoding: 'utf8',
        env: { PATH: process.env.PATH ?? '', ...given },
      },
    );
    expect(status).toBe(0);
    return JSON.parse(stdout) as Record<string, string>;
  };

  it('a copy of .env.example gets its keys, and the services the same ones', () => {
    const example = readFileSync(join(root, '.env.example'), 'utf8');
    writeEnv(example.replace('LLM_PROXY__OPENAI_API_KEY=', 'LLM_PROXY__OPENAI_API_KEY=sk-mine'));
    const { stdout, status } = init();
    expect({ stdout, status }).toEqual({ status: 0, stdout: `Filled in ${KEYS.join(', ')}: read them in .env.\n` });
    expect(env()).toMatchObject({ LLM_PROXY__OPENAI_API_KEY: 'sk-mine' });
    expect(handedOver()).toEqual(pick(env()));
    for (const key of Object.values(handedOver())) expect(key).toMatch(/^[0-9a-f]{48}$/);
    // Compose gives the services what .env had when it read it: empty keys.
    const empty = Object.fromEntries(KEYS.map((name) => [name, '']));
    for (const [service, own] of Object.entries(KEYS_OF))
      for (const given of [empty, {}]) {
        const seen = serviceEnvironment(given, service);
        for (const name of KEYS) expect(seen[name] || undefined).toBe(own.includes(name) ? env()[name] : undefined);
      }
  });

  it('a missing .env is made from .env.example, for the owner of the folder alone', () => {
    writeFileSync(join(project, '.env.example'), `# Комментарий\n${KEYS[0]}=\nLLM_PROXY__PORT=8002\n`);
    if (isRoot) chownSync(project, 1234, 1235);
    expect(init().stdout).toBe(`Wrote .env with ${KEYS.join(', ')}: read them in .env.\n`);
    expect(readFileSync(join(project, '.env'), 'utf8')).toContain('# Комментарий');
    expect(env()).toMatchObject({ LLM_PROXY__PORT: '8002' });
    expect(handedOver()).toEqual(pick(env()));
    const { mode, uid, gid } = statSync(join(project, '.env'));
    expect(mode & 0o777).toBe(0o600);
    expect({ uid, gid }).toEqual({ uid: statSync(project).uid, gid: statSync(project).gid });
  });

  it('is done again at each start: nothing changes but what a person has changed', () => {
    init();
    const before = readFileSync(join(project, '.env'), 'utf8');
    expect(init()).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(readFileSync(join(project, '.env'), 'utf8')).toBe(before);

    writeEnv(before.replace(/^GATEWAY__INTERNAL_API_KEY=.*$/m, 'GATEWAY__INTERNAL_API_KEY="rotated-by-a-person=="'));
    expect(init()).toMatchObject({ status: 0, stdout: '' });
    expect(handedOver()).toEqual(pick(env()));
    expect(handedOver().GATEWAY__INTERNAL_API_KEY).toBe('rotated-by-a-person==');
    expect(serviceEnvironment({}).GATEWAY__INTERNAL_API_KEY).toBe('rotated-by-a-person==');
    // What compose read from .env counts.
    expect(serviceEnvironment({ GATEWAY__INTERNAL_API_KEY: 'given' }).GATEWAY__INTERNAL_API_KEY).toBe('given');
  });

  it('any user that a service runs as can read its keys, and none can change them', () => {
    init();
    for (const service of Object.keys(KEYS_OF)) expect(statSync(join(keys, service, 'keys')).mode & 0o777).toBe(0o444);
  });

  it.runIf(isRoot)('a volume goes to the user of the services, with all that is in it', () => {
    const data = join(folder, 'data');
    mkdirSync(join(data, 'deep'), { recursive: true });
    writeFileSync(join(data, 'deep', 'agent-runtime.db'), '');
    chownSync(project, 1234, 1235);
    const owner = (path: string) => `${statSync(path).uid}:${statSync(path).gid}`;
    for (const [given, expected] of [
      ['10001:10001', '10001:10001'],
      ['project', '1234:1235'],
    ]) {
      expect(init(`${data}=${given}`).status).toBe(0);
      for (const path of ['.', 'deep', 'deep/agent-runtime.db']) expect(owner(join(data, path))).toBe(expected);
    }
  });

  it('says what to do where .env cannot be written, and ends with 1', () => {
    mkdirSync(join(project, '.env'));
    const { status, stderr } = init();
    expect(status).toBe(1);
    expect(stderr).toMatch(/cannot be prepared: .*EISDIR/);
    expect(stderr).toContain(`put a key of your own into .env for each of ${KEYS.join(', ')}`);
    expect(existsSync(join(keys, 'gateway', 'keys'))).toBe(false);
  });
});
