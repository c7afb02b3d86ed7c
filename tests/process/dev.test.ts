import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BUILD_MS, freePorts, groupGone, isListening, makeCheckout, type Running, run } from '../support/checkout.ts';

let checkout: Awaited<ReturnType<typeof makeCheckout>>;
let ports: number[];
let dev: Running;
const start = async () => {
  const [gateway, runtime, llmProxy] = ports as [number, number, number];
  dev = run('npm', ['run', 'dev'], {
    cwd: checkout.folder,
    env: {
      GATEWAY__PORT: String(gateway),
      GATEWAY__AGENT_RUNTIME_URL: `http://127.0.0.1:${runtime}`,
      AGENT_RUNTIME__PORT: String(runtime),
      AGENT_RUNTIME__LLM_PROXY_URL: `http://127.0.0.1:${llmProxy}`,
      LLM_PROXY__PORT: String(llmProxy),
      GATEWAY__VERSION: '',
    },
  });
  await Promise.all(
    ['gateway', 'agent-runtime', 'llm-proxy'].map((name) => dev.line(new RegExp(`${name} listens`), 0, BUILD_MS)),
  );
};
beforeAll(async () => {
  checkout = await makeCheckout();
  ports = await freePorts(3);
  await start();
}, BUILD_MS + 60_000);
afterAll(async () => {
  if (dev.isGroupAlive()) dev.signalGroup('SIGKILL');
  await groupGone(dev);
  await checkout.remove();
});

const edit = async (path: string, change: (text: string) => string) => {
  const file = join(checkout.folder, path);
  await writeFile(file, change(await readFile(file, 'utf8')));
};
const health = async (port: number | undefined) =>
  (await (await fetch(`http://127.0.0.1:${port}/health`)).json()) as { version: string };
const starts = () =>
  dev.lines.filter((line) => / listens /.test(line)).map((line) => / (\S+) listens /.exec(line)?.[1]);

it('restarts the service whose source was saved, and keeps the others up', async () => {
  const mark = dev.lines.length;
  const before = starts();
  await edit('packages/gateway/src/app.ts', (text) => text.replace('version: env.VERSION', "version: 'edited'"));
  await dev.line(/gateway listens/, mark);
  expect((await health(ports[0])).version).toBe('edited');
  expect(starts()).toEqual([...before, 'gateway']);
});

it('restarts nothing for a test', async () => {
  const before = starts();
  for (const path of ['gateway/src/forward.test.ts', 'gateway/src/router.test-d.ts', 'protocol/src/glob.test.ts'])
    await edit(`packages/${path}`, (text) => `${text}\n// saved\n`);
  // A save that counts comes after those: what they had started would be there before it.
  const mark = dev.lines.length;
  await edit('packages/gateway/src/forward.ts', (text) => `${text}\n// saved\n`);
  await dev.line(/gateway listens/, mark);
  expect(starts()).toEqual([...before, 'gateway']);
});

it('shows a syntax error, keeps the service up, and heals on the next save', async () => {
  const mark = dev.lines.length;
  let whole = '';
  await edit('packages/gateway/src/app.ts', (text) => {
    whole = text;
    return `${text}\nconst broken = ;\n`;
  });
  await dev.line(/Unexpected ";"/, mark);
  expect((await health(ports[0])).version).toBe('edited');
  const healed = dev.lines.length;
  await edit('packages/gateway/src/app.ts', () => whole.replace("'edited'", "'healed'"));
  await dev.line(/gateway listens/, healed);
  expect((await health(ports[0])).version).toBe('healed');
});

it('restarts every service that uses a shared package', async () => {
  const mark = dev.lines.length;
  await edit('packages/service-kit/src/env.ts', (text) =>
    text.replace("VERSION: z.string().default('1.0.0')", "VERSION: z.string().default('shared')"),
  );
  await Promise.all(
    ['gateway', 'agent-runtime', 'llm-proxy'].map((name) => dev.line(new RegExp(`${name} listens`), mark)),
  );
  // .env says nothing else of them.
  await edit('.env', (text) => text.replace(/^(\w+__VERSION)=.*$/gm, '$1='));
  const again = dev.lines.length;
  await dev.line(/llm-proxy listens/, again);
  expect((await health(ports[2])).version).toBe('shared');
});

it('reloads a changed .env', async () => {
  const mark = dev.lines.length;
  await edit('.env', (text) => text.replace('LLM_PROXY__VERSION=', 'LLM_PROXY__VERSION=from-dot-env'));
  await Promise.all(
    ['gateway', 'agent-runtime', 'llm-proxy'].map((name) => dev.line(new RegExp(`${name} listens`), mark)),
  );
  expect((await health(ports[2])).version).toBe('from-dot-env');
});

it('leaves nothing behind on Ctrl+C', async () => {
  dev.signalGroup('SIGINT');
  await dev.exited;
  await groupGone(dev);
  for (const port of ports) expect(await isListening(port)).toBe(false);
});

it(
  'leaves nothing behind when it is killed',
  async () => {
    await start();
    const { stdout } = await promisify(execFile)('pgrep', ['-g', String(dev.pid), '-f', 'scripts/dev.mjs']);
    for (const pid of stdout.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
    await groupGone(dev);
    for (const port of ports) expect(await isListening(port)).toBe(false);
  },
  BUILD_MS + 60_000,
);
