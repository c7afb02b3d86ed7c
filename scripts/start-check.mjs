// node scripts/start-check.mjs [dev]: runs `npm start`, or `npm run dev`, of this checkout on free ports, talks to the services, kills it,
// and sees that nothing is left. Where tests/process cannot run, for its clones and signals are POSIX's: on Windows, in CI.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning } from './commands.mjs';
import { keysIn } from './env-keys.mjs';
import { root } from './setup.mjs';

const WITHIN_MS = 240_000;
const script = process.argv[2] === 'dev' ? 'dev.mjs' : 'start.mjs';
const [gateway, runtime, llmProxy] = await Promise.all([freePort(), freePort(), freePort()]);
const ports = [gateway, runtime, llmProxy];

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @param {() => Promise<boolean>} condition @param {string} what */
async function until(condition, what) {
  const deadline = Date.now() + WITHIN_MS;
  while (!(await condition())) {
    if (running.exitCode !== null)
      throw new Error(`${script} ended with ${running.exitCode} before it was so: ${what}`);
    if (Date.now() > deadline) throw new Error(`not so within ${WITHIN_MS / 1000} s: ${what}`);
    await sleep(200);
  }
  process.stdout.write(`ok  ${what}\n`);
}

const isUp = (port) =>
  fetch(`http://127.0.0.1:${port}/health`).then(
    (response) => response.ok,
    () => false,
  );

const running = spawn(process.execPath, [join(root, 'scripts', script)], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'pipe'],
  // A group of its own, where there are groups: then it shows what is left.
  detached: process.platform !== 'win32',
  env: {
    ...process.env,
    GATEWAY__PORT: String(gateway),
    GATEWAY__AGENT_RUNTIME_URL: `http://127.0.0.1:${runtime}`,
    AGENT_RUNTIME__PORT: String(runtime),
    AGENT_RUNTIME__LLM_PROXY_URL: `http://127.0.0.1:${llmProxy}`,
    LLM_PROXY__PORT: String(llmProxy),
  },
});
for (const stream of [running.stdout, running.stderr])
  createInterface({ input: stream }).on('line', (line) => process.stdout.write(`    ${line}\n`));

try {
  await until(async () => (await Promise.all(ports.map(isUp))).every(Boolean), 'all three services are healthy');
  const keys = keysIn(readFileSync(join(root, '.env'), 'utf8'));
  const response = await fetch(`http://127.0.0.1:${gateway}/api/v1/message`, {
    method: 'POST',
    headers: { 'x-internal-auth': keys.GATEWAY__INTERNAL_API_KEY ?? '', 'content-type': 'application/json' },
    body: JSON.stringify({ session_id: `check-${Date.now()}`, message: 'Привет!' }),
  });
  const { message } = await response.json();
  if (!message?.includes('Привет!')) throw new Error(`gateway answered ${response.status} ${message}`);
  process.stdout.write('ok  a message goes through all three\n');
} catch (error) {
  process.stderr.write(`NO  ${error.message}\n`);
  process.exitCode = 1;
}
running.kill('SIGKILL');
const anythingLeft = async () =>
  (process.platform !== 'win32' && isRunning(-running.pid)) || (await Promise.all(ports.map(isUp))).some(Boolean);
const deadline = Date.now() + 30_000;
while ((await anythingLeft()) && Date.now() < deadline) await sleep(200);
const isLeft = await anythingLeft();
process.stdout.write(isLeft ? 'NO  something is still there\n' : 'ok  nothing is left when it is killed\n');
process.exit(isLeft ? 1 : (process.exitCode ?? 0));
