import { execFile } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BUILD_MS, freePorts, groupGone, isListening, makeCheckout, type Running, run } from '../support/checkout.ts';

const KEYS = {
  GATEWAY__INTERNAL_API_KEY: 'key-of-the-gateway-in-a-test',
  AGENT_RUNTIME__INTERNAL_API_KEY: 'key-of-agent-runtime-in-a-test',
  LLM_PROXY__INTERNAL_API_KEY: 'key-of-llm-proxy-in-a-test',
};
let checkout: Awaited<ReturnType<typeof makeCheckout>>;
let ports: number[];
let env: Record<string, string>;
let started: Running[] = [];
beforeAll(async () => {
  checkout = await makeCheckout();
  ports = await freePorts(3);
  const [gateway, runtime, llmProxy] = ports as [number, number, number];
  env = {
    GATEWAY__PORT: String(gateway),
    GATEWAY__AGENT_RUNTIME_URL: `http://127.0.0.1:${runtime}`,
    AGENT_RUNTIME__PORT: String(runtime),
    AGENT_RUNTIME__LLM_PROXY_URL: `http://127.0.0.1:${llmProxy}`,
    LLM_PROXY__PORT: String(llmProxy),
    LLM_PROXY__BUILTIN_DELAY_MS: '100',
  };
});
afterEach(async () => {
  for (const running of started) {
    if (running.isGroupAlive()) running.signalGroup('SIGKILL');
    await groupGone(running);
  }
  started = [];
});
afterAll(() => checkout.remove());

const npmStart = (settings: Record<string, string> = {}) => {
  const running = run('npm', ['start'], { cwd: checkout.folder, env: { ...env, ...settings } });
  started.push(running);
  return running;
};
const service = (name: string, settings: Record<string, string>, signal = true) => {
  const running = run(process.execPath, ['dist/main.js'], {
    cwd: join(checkout.folder, 'packages', name),
    env: { ...KEYS, ...settings },
  });
  if (signal) started.push(running);
  return running;
};
const keysOf = async () =>
  Object.fromEntries(
    [...(await readFile(join(checkout.folder, '.env'), 'utf8')).matchAll(/^(\w+_KEY)=(\w+)$/gm)].map(
      ([, name, key]) => [name, key],
    ),
  );

describe('npm start', () => {
  it(
    'builds, writes .env with keys, starts all three, and its curl command works',
    async () => {
      const running = npmStart();
      await running.line(/All three services are healthy/, 0, BUILD_MS);
      await running.line(/Ctrl\+C stops everything/);
      expect(running.lines.join('\n')).toContain('No provider is configured: builtin/agent answers.');
      const file = join(checkout.folder, '.env');
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      const keys = await keysOf();
      expect(Object.keys(keys)).toEqual([
        'GATEWAY__INTERNAL_API_KEY',
        'AGENT_RUNTIME__INTERNAL_API_KEY',
        'LLM_PROXY__INTERNAL_API_KEY',
      ]);
      expect(new Set(Object.values(keys)).size).toBe(3);

      const start = running.lines.findIndex((line) => line.includes('set -a'));
      const command = running.lines.slice(start, start + 4).join('\n');
      const { stdout } = await promisify(execFile)('bash', ['-c', command], { cwd: checkout.folder });
      expect(stdout).toMatch(/data: \[DONE\]\s*$/);
      expect(stdout).toContain('"is_final":true');

      // One id through all three, and neither keys nor what was said in the log.
      const finished = await running.line(/llm-proxy .*INFO: completion/);
      const requestId = /"requestId":"([^"]+)"/.exec(finished)?.[1] ?? 'none';
      expect(await running.line(new RegExp(`agent-runtime .*run finished.*${requestId}`))).toBeDefined();
      const said = await fetch(`http://127.0.0.1:${ports[0]}/api/v1/message`, {
        method: 'POST',
        headers: { 'x-request-id': 'req-of-mine' },
        body: JSON.stringify({ session_id: 'log-test', message: 'sesame-open' }),
      });
      expect(said.headers.get('x-request-id')).toBe('req-of-mine');
      for (const name of ['gateway', 'agent-runtime', 'llm-proxy'])
        await running.line(new RegExp(`^${name} .*req-of-mine`));
      const log = running.lines.join('\n');
      expect(log).not.toContain('sesame-open');
      for (const key of Object.values(keys)) expect(log).not.toContain(key);

      running.signalGroup('SIGINT');
      await running.exited;
      await groupGone(running);
      for (const port of ports) expect(await isListening(port)).toBe(false);
    },
    BUILD_MS + 60_000,
  );

  it('stops within 2 s of Ctrl+C in the middle of an answer, and leaves nothing behind', async () => {
    const running = npmStart();
    await running.line(/Ctrl\+C stops everything/);
    const { AGENT_RUNTIME__INTERNAL_API_KEY: key = '' } = await keysOf();
    const answer = await fetch(`http://127.0.0.1:${ports[1]}/agent/message/stream`, {
      method: 'POST',
      headers: { 'x-internal-auth': key },
      body: JSON.stringify({ session_id: 'ctrl-c', type: 'user_message', content: 'a long answer, please' }),
    });
    const reader = answer.body?.getReader();
    await reader?.read();
    const pressed = performance.now();
    running.signalGroup('SIGINT');
    await running.exited;
    await groupGone(running);
    expect(performance.now() - pressed).toBeLessThan(2000);
    reader?.cancel().catch(() => {});
  });

  it('stops when only npm gets SIGTERM', async () => {
    const running = npmStart({ LLM_PROXY__ANTHROPIC_API_KEY: 'sk-ant-test' });
    await running.line(/Ctrl\+C stops everything/);
    expect(running.lines.join('\n')).not.toContain('No provider is configured');
    running.signal('SIGTERM');
    await running.exited;
    await groupGone(running);
  });

  it('its services stop when it is killed', async () => {
    const running = npmStart();
    await running.line(/Ctrl\+C stops everything/);
    const { stdout } = await promisify(execFile)('pgrep', ['-g', String(running.pid), '-f', 'scripts/start.mjs']);
    for (const pid of stdout.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
    await groupGone(running);
  });

  it('says in one line which port is taken', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(ports[1], '127.0.0.1', resolve));
    const running = npmStart();
    expect(await running.exited).toBe(1);
    blocker.close();
    expect(running.lines.filter((line) => line.includes('taken'))).toEqual([
      `Port ${ports[1]} (agent-runtime) is taken: stop what listens there, or set AGENT_RUNTIME__PORT in .env.`,
    ]);
  });

  it('fills in the keys of a copy of .env.example, and touches no others', async () => {
    const file = join(checkout.folder, '.env');
    const example = await readFile(join(checkout.folder, '.env.example'), 'utf8');
    await writeFile(file, example.replace('GATEWAY__INTERNAL_API_KEY=', 'GATEWAY__INTERNAL_API_KEY=mine'));
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(ports[1], '127.0.0.1', resolve));
    expect(await npmStart().exited).toBe(1);
    blocker.close();
    const { GATEWAY__INTERNAL_API_KEY: gateway, ...filled } = await keysOf();
    expect(gateway).toBe('mine');
    expect(Object.values(filled)).toEqual([
      expect.stringMatching(/^[0-9a-f]{48}$/),
      expect.stringMatching(/^[0-9a-f]{48}$/),
    ]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });
});

describe('npm test', () => {
  it(
    'runs there too: what a test takes from the tree is found whatever the folder is called',
    async () => {
      const testing = run(
        'npm',
        [
          'test',
          '--',
          'agents.test',
          'mcp.test',
          'process/support.test',
          '--project',
          'unit',
          '--project',
          'e2e',
          '--project',
          'process',
        ],
        { cwd: checkout.folder },
      );
      started.push(testing);
      const code = await testing.exited;
      expect(testing.lines.filter((line) => /FAIL|Error/.test(line))).toEqual([]);
      expect(testing.lines.join('\n')).toMatch(/Test Files +3 passed/);
      expect(code).toBe(0);
    },
    BUILD_MS,
  );
});

describe('a service on its own', () => {
  it('starts from its folder, with .env of the root, and stops on SIGTERM with 0', async () => {
    const running = service('gateway', env);
    await running.line(/"msg":"gateway listens/);
    expect(await (await fetch(`http://127.0.0.1:${ports[0]}/health`)).json()).toMatchObject({
      status: 'healthy',
      service: 'gateway',
    });
    running.signal('SIGTERM');
    expect(await running.exited).toBe(0);
  });

  it('the environment wins over .env', async () => {
    await writeFile(
      join(checkout.folder, '.env'),
      `${await readFile(join(checkout.folder, '.env'), 'utf8')}\nGATEWAY__VERSION=from-file\n`,
    );
    for (const [settings, version] of [
      [{}, 'from-file'],
      [{ GATEWAY__VERSION: 'from-environment' }, 'from-environment'],
    ] as const) {
      const running = service('gateway', { ...env, ...settings });
      await running.line(/gateway listens/);
      expect(await (await fetch(`http://127.0.0.1:${ports[0]}/health`)).json()).toMatchObject({ version });
      running.signal('SIGTERM');
      await running.exited;
    }
  });

  it('names every wrong setting at once, and no key', async () => {
    const running = service('agent-runtime', {
      AGENT_RUNTIME__PORT: '70000',
      AGENT_RUNTIME__LOG_LEVEL: 'loud',
      AGENT_RUNTIME__LLM_PROXY_URL: 'not a url',
    });
    expect(await running.exited).toBe(1);
    const said = running.lines.join('\n');
    expect(said).toContain('3 settings are wrong');
    for (const name of [
      'AGENT_RUNTIME__PORT=70000',
      'AGENT_RUNTIME__LOG_LEVEL=loud',
      'AGENT_RUNTIME__LLM_PROXY_URL=not a url',
    ])
      expect(said).toContain(name);
  });

  it.each([
    ['gateway', { GATEWAY__HOST: '0.0.0.0' }, ['GATEWAY__INTERNAL_API_KEY', 'AGENT_RUNTIME__INTERNAL_API_KEY']],
    ['agent-runtime', { NODE_ENV: 'production' }, ['AGENT_RUNTIME__INTERNAL_API_KEY', 'LLM_PROXY__INTERNAL_API_KEY']],
    ['llm-proxy', { LLM_PROXY__HOST: '::' }, ['LLM_PROXY__INTERNAL_API_KEY']],
  ])('%s refuses %j without real keys', async (name, settings, missing) => {
    const placeholders = Object.fromEntries(missing.map((key) => [key, 'change-me']));
    const running = service(name, { ...settings, ...placeholders } as Record<string, string>);
    expect(await running.exited).toBe(1);
    for (const key of missing) expect(running.lines.join('\n')).toContain(`${key} must be a key of your own`);
    expect(running.lines.join('\n')).not.toContain('change-me');
  });

  it('says in one line that its port is taken', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(ports[2], '127.0.0.1', resolve));
    const running = service('llm-proxy', env);
    expect(await running.exited).toBe(1);
    blocker.close();
    expect(running.lines).toEqual([
      `llm-proxy cannot start. Port ${ports[2]} is taken: stop what listens there, or set LLM_PROXY__PORT to another port.`,
    ]);
  });
});
