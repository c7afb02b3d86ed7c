// `npm run docker:check`: does what README.md says of Docker, in a copy of this checkout, with Docker or, as root, with podman
// (docker-engines.mjs). Takes minutes.
import { spawnSync } from 'node:child_process';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createEngine } from './docker-engines.mjs';
import { KEYS, keysIn } from './env-keys.mjs';
import { root } from './setup.mjs';

const SERVICES = ['llm-proxy', 'agent-runtime', 'gateway'];
const WITHIN_MS = 90_000;
/** Who owns the checkout, where we are root: as on most people's machines. */
const PERSON = 1000;

const work = mkdtempSync(join(tmpdir(), 'codelab-docker-'));
const folder = join(work, 'Мой проект, копия');
const envFile = join(folder, '.env');
const isRoot = process.getuid?.() === 0;
const ports = await freePorts();
const url = (name, path) => `http://127.0.0.1:${ports[name]}${path}`;

const say = (text) => process.stdout.write(`${text}\n`);
const readEnv = () => readFileSync(envFile, 'utf8');
const keys = () => keysIn(readEnv());

/** @param {unknown} condition @param {string} what */
function check(condition, what) {
  if (!condition) throw new Error(`not so: ${what}`);
  say(`  ${what}`);
}

/** @param {() => Promise<boolean> | boolean} condition @param {string} what */
async function until(condition, what) {
  const deadline = Date.now() + WITHIN_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not so within ${WITHIN_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  say(`  ${what}`);
}

/** Three ports that nobody listens on now: somebody may work with 8000 to 8002. */
async function freePorts() {
  const found = {};
  const servers = [];
  for (const name of SERVICES) {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
    found[name] = server.address().port;
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return found;
}

/** The tree as git would have it, changes included, owned by a person. */
function copyCheckout() {
  const { stdout } = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
  for (const path of String(stdout)
    .split('\0')
    .filter((name) => name !== '' && existsSync(join(root, name)))) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path));
  }
  if (isRoot) spawnSync('chown', ['-R', `${PERSON}:${PERSON}`, work]);
}

/** @param {string} name @param {string} value */
function set(name, value) {
  const text = readEnv();
  const line = new RegExp(`^${name}=.*$`, 'm');
  writeFileSync(envFile, line.test(text) ? text.replace(line, `${name}=${value}`) : `${text}${name}=${value}\n`);
}

/** What a service says of its health, or undefined. @param {string} name */
const health = (name) =>
  fetch(url(name, '/health')).then(
    (response) => response.json(),
    () => undefined,
  );

async function allHealthy() {
  for (const name of SERVICES) {
    await until(async () => (await health(name))?.status === 'healthy', `${name} is healthy`);
    engine.healthcheck(name);
  }
}

/** @param {string} token */
const sessions = (token) => fetch(url('gateway', '/api/v1/sessions'), { headers: { 'x-internal-auth': token } });

async function sessionIds() {
  const { sessions: found } = await (await sessions(keys().GATEWAY__INTERNAL_API_KEY)).json();
  return found.map(({ sessionId }) => sessionId);
}

/** As a person's shell reads it. @param {string} name */
const sourced = (name) =>
  spawnSync('sh', ['-c', `set -a; . ./.env; set +a; printf %s "$${name}"`], { cwd: folder, encoding: 'utf8' }).stdout;

async function talk() {
  const answer = await fetch(url('agent-runtime', '/agent/message/stream'), {
    method: 'POST',
    headers: { 'x-internal-auth': sourced('AGENT_RUNTIME__INTERNAL_API_KEY'), 'content-type': 'application/json' },
    body: JSON.stringify({ session_id: 'docker-check', type: 'user_message', content: 'Привет!' }),
  });
  const text = await answer.text();
  check(
    text.includes('"is_final":true') && text.includes('[DONE]'),
    'a message goes through agent-runtime, with its key of .env',
  );
  const whole = await fetch(url('gateway', '/api/v1/message'), {
    method: 'POST',
    headers: { 'x-internal-auth': keys().GATEWAY__INTERNAL_API_KEY, 'content-type': 'application/json' },
    body: JSON.stringify({ session_id: 'docker-check', message: 'Привет!' }),
  });
  check((await whole.json()).message?.includes('Привет!'), 'and one through gateway');
  check((await sessions('')).status === 401, 'a stranger gets 401');
}

async function asWritten() {
  say('cp .env.example .env, a provider key, docker compose up -d');
  cpSync(join(folder, '.env.example'), envFile);
  if (isRoot) chownSync(envFile, PERSON, PERSON);
  set('LLM_PROXY__OPENAI_API_KEY', 'sk-docker-check');
  // Nothing of OpenAI's is asked.
  set('LLM_PROXY__DEFAULT_MODEL', 'builtin/agent');
  set('GATEWAY__VERSION', 'from-env');
  for (const name of SERVICES) set(`${name.toUpperCase().replaceAll('-', '_')}__PORT`, String(ports[name]));
  engine.up();
  await allHealthy();
  check(
    SERVICES.every((name) => engine.user(name) !== '0'),
    'no service is root',
  );
  check(
    Object.values(keys()).every((key) => /^[0-9a-f]{48}$/.test(key)),
    '.env has keys',
  );
  check((statSync(envFile).mode & 0o777) === 0o600, 'which only its owner may read');
  if (isRoot) check(statSync(envFile).uid === PERSON, 'and that is who owns the folder');
  check(/^LLM_PROXY__OPENAI_API_KEY=sk-docker-check$/m.test(readEnv()), 'what was in it is still there');
  check((await health('gateway')).version === 'from-env', 'and reaches the services');
  await talk();
}

async function again() {
  say('docker compose up -d, once more');
  const before = readEnv();
  engine.up();
  await allHealthy();
  check(readEnv() === before, '.env is as it was');
  check((await sessionIds()).includes('docker-check'), 'the session is still there');

  say('keys that a person changes, and docker compose up -d');
  const old = keys().GATEWAY__INTERNAL_API_KEY;
  set('GATEWAY__INTERNAL_API_KEY', 'a-key-of-my-own-0123456789');
  set('LLM_PROXY__INTERNAL_API_KEY', '');
  engine.up();
  await allHealthy();
  check((await sessions(old)).status === 401, 'the old key is none any more');
  check((await sessions('a-key-of-my-own-0123456789')).status === 200, 'the new one is');
  await talk();
}

async function manage() {
  say('docker compose restart, exec, logs, stop');
  engine.restart('gateway');
  await allHealthy();
  check(engine.exec('gateway', 'ls', 'dist').includes('main.js'), 'exec shows the files');
  const keysOf = (name) => engine.exec(name, 'cat', '/run/codelab/keys');
  check(
    !keysOf('llm-proxy').includes('GATEWAY__') && !keysOf('gateway').includes('LLM_PROXY__'),
    'each has its own keys',
  );
  check(engine.logs('gateway').includes('gateway listens'), 'logs show what gateway says');
  const began = Date.now();
  engine.stop('gateway');
  check(Date.now() - began < 12_000, 'gateway stops on SIGTERM');
}

async function withoutEnvFile() {
  say('docker compose down, no .env, docker compose up -d');
  engine.down();
  rmSync(envFile);
  const environment = SERVICES.map((name) => [`${name.toUpperCase().replaceAll('-', '_')}__PORT`, String(ports[name])]);
  engine.up({ environment: Object.fromEntries(environment) });
  await allHealthy();
  check(
    KEYS.every((name) => keys()[name] !== ''),
    '.env is there, with keys',
  );
  if (isRoot) check(statSync(envFile).uid === PERSON, 'and belongs to who owns the folder');
  await talk();
  for (const [name, port] of environment) set(name, port);
}

async function hotReload() {
  say('docker-compose.dev.yml, after that');
  engine.down();
  engine.up({ dev: true });
  await allHealthy();
  await talk();
  const built = join(folder, 'packages', 'gateway', 'dist', 'main.js');
  check(statSync(built).uid === statSync(folder).uid, 'what is built there belongs to who owns the sources');
  const source = join(folder, 'packages', 'gateway', 'src', 'app.ts');
  writeFileSync(source, readFileSync(source, 'utf8').replace('version: env.VERSION', "version: 'edited'"));
  await until(async () => (await health('gateway'))?.version === 'edited', 'a save restarts the service');

  say('and docker-compose.yml again');
  engine.down();
  engine.up();
  await allHealthy();
  check((await sessionIds()).includes('docker-check'), 'the sessions are still there');
}

async function fromNothing() {
  say('docker compose down -v');
  engine.down({ volumes: true });
  engine.up();
  await allHealthy();
  check((await sessionIds()).length === 0, 'the sessions are gone');
}

/** Needs images of others. */
async function onPostgres() {
  if (!engine.hasRegistry) return say('postgres and redis: skipped, without a registry');
  say('AGENT_RUNTIME__DATABASE_URL=postgres://…, docker compose up -d');
  set('AGENT_RUNTIME__DATABASE_URL', 'postgres://codelab:codelab@postgres:5432/codelab');
  engine.up();
  await allHealthy();
  await talk();
  const tables = engine.exec('postgres', 'psql', '-U', 'codelab', '-d', 'codelab', '-c', '\\dt');
  check(tables.includes('sessions'), 'psql shows the tables');
  check(engine.exec('redis', 'redis-cli', 'ping').includes('PONG'), 'redis-cli answers');
}

/** @type {import('./docker-engines.mjs').Engine | undefined} */
let engine;
let failed = false;
try {
  copyCheckout();
  engine = createEngine({ folder, work, say });
  engine.build();
  for (const story of [asWritten, again, manage, withoutEnvFile, hotReload, fromNothing, onPostgres]) await story();
} catch (error) {
  failed = true;
  const logs = ['init', ...SERVICES].map((name) => engine?.logs(name) ?? '');
  process.stderr.write(`${[error.message, ...logs].filter((text) => text !== '').join('\n')}\n`);
} finally {
  engine?.down({ volumes: true });
  rmSync(work, { recursive: true, force: true });
}
say(failed ? 'docker:check failed' : 'docker:check passed');
process.exit(failed ? 1 : 0);
