// `npm start`: installs, builds, and runs the three services as processes of their own until Ctrl+C.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { banner, foundModels, hasProvider } from './banner.mjs';
import { askToStop, onParentGone } from './commands.mjs';
import { build, install, root, writeEnv } from './setup.mjs';

const SERVICES = [
  { name: 'llm-proxy', prefix: 'LLM_PROXY__', port: 8002, colour: 35 },
  { name: 'agent-runtime', prefix: 'AGENT_RUNTIME__', port: 8001, colour: 36 },
  { name: 'gateway', prefix: 'GATEWAY__', port: 8000, colour: 34 },
];
const HEALTHY_WITHIN_MS = 30_000;
/** Ctrl+C is to be done within 2 s: what still streams gets a moment. */
const GRACE_MS = 800;
const KILL_MS = 1400;
const HEARSAY_MS = 100;

let stopping = false;
/** @type {import('node:child_process').ChildProcess[]} */
const children = [];

install();
writeEnv();
build();
await main();

async function main() {
  const { parse } = await import('dotenv');
  const { readFileSync } = await import('node:fs');
  const variables = { ...parse(readFileSync(join(root, '.env'))), ...process.env };
  const services = SERVICES.map((service) => ({
    ...service,
    host: variables[`${service.prefix}HOST`] || '127.0.0.1',
    port: Number(variables[`${service.prefix}PORT`] || service.port),
  }));

  const taken = await Promise.all(services.map(isTaken));
  const blocked = services.filter((_, index) => taken[index]);
  if (blocked.length > 0) {
    for (const { name, port, prefix } of blocked)
      process.stderr.write(`Port ${port} (${name}) is taken: stop what listens there, or set ${prefix}PORT in .env.\n`);
    process.exit(1);
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(0));
  onParentGone(() => stop(0));
  const { paint, prettyLines } = await import('./log-lines.mjs');
  const width = Math.max(...services.map(({ name }) => name.length));
  for (const { name, prefix, colour } of services) {
    const child = spawn(process.execPath, ['--enable-source-maps', 'dist/main.js'], {
      cwd: join(root, 'packages', name),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { [`${prefix}SHUTDOWN_TIMEOUT_MS`]: String(GRACE_MS), ...process.env },
    });
    children.push(child);
    const label = paint(colour, `${name.padEnd(width)} |`);
    for (const stream of [child.stdout, child.stderr])
      prettyLines(stream, (line) => process.stdout.write(`${label} ${line}\n`));
    child.once('exit', async (code, signal) => {
      // Ctrl+C reaches the services too, and one of them may be done before we hear of it.
      await new Promise((resolve) => setTimeout(resolve, HEARSAY_MS));
      if (stopping) return;
      process.stderr.write(`${name} ended (${signal ?? `exit ${code}`}); stopping the others.\n`);
      stop(1);
    });
  }

  const deadline = Date.now() + HEALTHY_WITHIN_MS;
  for (const service of services) {
    while (!stopping && !(await isHealthy(service))) {
      if (Date.now() > deadline) {
        process.stderr.write(`${service.name} is not healthy after ${HEALTHY_WITHIN_MS / 1000} s; stopping.\n`);
        return stop(1);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const isConfigured = await hasProvider(variables, root);
  const key = variables.LLM_PROXY__INTERNAL_API_KEY;
  const found = isConfigured ? [] : await foundModels(urlOf(services.find(({ name }) => name === 'llm-proxy')), key);
  if (!stopping) process.stdout.write(banner({ services, hasProvider: isConfigured, found }));
}

/** @param {{ host: string, port: number }} service */
function isTaken({ host, port }) {
  if (port === 0) return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error) => resolve(error.code === 'EADDRINUSE'));
    probe.listen(port, host, () => probe.close(() => resolve(false)));
  });
}

/** @param {{ host: string, port: number }} service */
function urlOf({ host, port }) {
  const name = host === '0.0.0.0' ? '127.0.0.1' : host.includes(':') ? `[${host === '::' ? '::1' : host}]` : host;
  return `http://${name}:${port}`;
}

/** @param {{ host: string, port: number }} service */
async function isHealthy(service) {
  try {
    const response = await fetch(`${urlOf(service)}/health`, { signal: AbortSignal.timeout(1000) });
    return response.ok;
  } catch {
    return false;
  }
}

/** @param {number} code */
async function stop(code) {
  if (stopping) return;
  stopping = true;
  const running = children.filter((child) => child.exitCode === null && child.signalCode === null);
  const gone = Promise.all(running.map((child) => new Promise((resolve) => child.once('exit', resolve))));
  for (const child of running) askToStop(child);
  const force = setTimeout(() => {
    for (const child of running) child.kill('SIGKILL');
  }, KILL_MS);
  await gone;
  clearTimeout(force);
  process.exit(code);
}
