import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BUILD_MS, freePorts, groupGone, makeCheckout, type Running, run } from '../support/checkout.ts';

let checkout: Awaited<ReturnType<typeof makeCheckout>>;
let env: Record<string, string>;
let ports: Record<string, number>;
let started: Running[] = [];
beforeAll(async () => {
  checkout = await makeCheckout();
  const [gateway, runtime, llmProxy] = (await freePorts(3)) as [number, number, number];
  ports = { gateway, 'agent-runtime': runtime, 'llm-proxy': llmProxy };
  env = {
    GATEWAY__PORT: String(gateway),
    AGENT_RUNTIME__PORT: String(runtime),
    LLM_PROXY__PORT: String(llmProxy),
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

const npm = (name: string, ...args: string[]) => {
  const running = run('npm', args, { cwd: join(checkout.folder, 'packages', name), env });
  started.push(running);
  return running;
};

const needed: Array<[service: string, keys: string[]]> = [
  ['gateway', ['GATEWAY__INTERNAL_API_KEY', 'AGENT_RUNTIME__INTERNAL_API_KEY']],
  ['agent-runtime', ['AGENT_RUNTIME__INTERNAL_API_KEY', 'LLM_PROXY__INTERNAL_API_KEY']],
  ['llm-proxy', ['LLM_PROXY__INTERNAL_API_KEY']],
];

describe('a checkout without .env', () => {
  it.each(needed)('%s does not start, and says which line to put where', async (name, keys) => {
    const running = npm(name, 'start');
    expect(await running.exited).not.toBe(0);
    const said = running.lines.join('\n');
    expect(said).toContain(`${name} cannot start.`);
    for (const key of keys) expect(said).toContain(`Put the line ${key}=<key> into ${join(checkout.folder, '.env')}`);
    expect(said).toContain('openssl rand -hex 24');
  });

  it('npm run dev of one service says the same', async () => {
    await npm('gateway', 'run', 'dev').line(/Put the line GATEWAY__INTERNAL_API_KEY=<key> into/);
  });
});

describe('a checkout that is set up as VS Code does it before it starts a service', () => {
  beforeAll(async () => {
    const read = async (name: string) => JSON.parse(await readFile(join(checkout.folder, '.vscode', name), 'utf8'));
    const { configurations } = await read('launch.json');
    const { tasks } = await read('tasks.json');
    const wanted = new Set(
      configurations.flatMap(({ preLaunchTask: label }: { preLaunchTask?: string }) => label ?? []),
    );
    expect(wanted.size).toBe(1);
    const { type, script } = tasks.find(({ label }: { label: string }) => wanted.has(label));
    expect(type).toBe('npm');
    const setUp = run('npm', ['run', script], { cwd: checkout.folder });
    expect(await setUp.exited, setUp.lines.join('\n')).toBe(0);
  }, BUILD_MS);

  it.each(needed.flatMap(([name]) => [['start'], ['run', 'dev']].map((args) => [name, args] as const)))(
    '%s starts by itself: npm %j',
    async (name, args) => {
      const running = npm(name, ...args);
      await running.line(/listens on/);
      const health = await fetch(`http://127.0.0.1:${ports[name]}/health`);
      expect(await health.json()).toMatchObject({ status: 'healthy', service: name });
    },
  );

  it(
    'a new migration is made in the folder of agent-runtime, and is named while it is not written',
    async () => {
      const made = npm('agent-runtime', 'run', 'db:new', '--', 'add_labels');
      expect(await made.exited, made.lines.join('\n')).toBe(0);
      const [file = ''] = made.lines.filter((line) => line.endsWith('_add_labels.ts'));
      const migrated = npm('agent-runtime', 'run', 'db:migrate');
      expect(await migrated.exited).toBe(1);
      const said = migrated.lines.join('\n');
      expect(said).toContain(`store/migrations/${basename(file)}: its \`up\` is not written yet.`);
      expect(said).not.toMatch(/^ +at /m);
      await writeFile(file, (await readFile(file, 'utf8')).replace(/throw .*;/, ''));
      const again = npm('agent-runtime', 'run', 'db:migrate');
      expect(await again.exited, again.lines.join('\n')).toBe(0);
      expect(again.lines).toContain(`migrate: ${basename(file, '.ts')}`);
    },
    BUILD_MS,
  );
});
