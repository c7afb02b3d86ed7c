// `npm run docker:check`: builds the images and runs them by docker-compose.yml, then asks each service. With Docker, or with
// podman as root where there is none; podman builds the base image from Debian's packages, so that no image registry is needed.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { root } from './setup.mjs';

const SERVICES = ['llm-proxy', 'agent-runtime', 'gateway'];
const PORTS = { gateway: 8000, 'agent-runtime': 8001, 'llm-proxy': 8002 };
const NODE_IMAGE = 'docker.io/library/node:22-slim';
const HEALTHY_WITHIN_MS = 60_000;
const COMMAND_TIMEOUT_MS = 300_000;

const work = mkdtempSync(join(tmpdir(), 'codelab-docker-'));
const key = () => randomBytes(24).toString('hex');
const keys = {
  GATEWAY__INTERNAL_API_KEY: key(),
  AGENT_RUNTIME__INTERNAL_API_KEY: key(),
  LLM_PROXY__INTERNAL_API_KEY: key(),
};
/** The environment of every command; the keys win over .env. */
let environment = { ...process.env, ...keys };

/** @param {string} command @param {string[]} args @param {{ allowFailure?: boolean, quiet?: boolean }} [options] */
function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: environment,
    maxBuffer: 1 << 28,
    timeout: COMMAND_TIMEOUT_MS,
  });
  if (status !== 0 && !options.allowFailure) {
    throw new Error(`${command} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`);
  }
  return { ok: status === 0, output: `${stdout ?? ''}${stderr ?? ''}` };
}

const has = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
const say = (text) => process.stdout.write(`${text}\n`);

function withDocker() {
  const compose = ['compose', '-f', 'docker-compose.yml', '--project-name', 'codelab-check'];
  return {
    build: () => run('docker', [...compose, 'build']),
    up: () => run('docker', [...compose, 'up', '-d', '--wait']),
    // `up --wait` has seen its healthcheck pass.
    health: () => {},
    user: (name) => run('docker', [...compose, 'exec', '-T', name, 'id', '-u']).output.trim(),
    stop: (name) => run('docker', [...compose, 'stop', name]),
    logs: () => run('docker', [...compose, 'logs'], { allowFailure: true }).output,
    down: () => run('docker', [...compose, 'down', '-v'], { allowFailure: true }),
  };
}

function withPodman() {
  for (const command of ['podman', 'podman-compose', 'debootstrap', 'runc']) {
    if (!has('which', command))
      throw new Error(
        `There is no Docker, and for podman ${command} is missing: apt-get install podman podman-compose buildah debootstrap runc iptables netavark aardvark-dns`,
      );
  }
  const storage = join(tmpdir(), 'codelab-podman');
  mkdirSync(storage, { recursive: true });
  const runc = run('which', ['runc']).output.trim();
  writeFileSync(
    join(work, 'storage.conf'),
    `[storage]\ndriver = "overlay"\nrunroot = "${storage}/run"\ngraphroot = "${storage}/graph"\n`,
  );
  writeFileSync(
    join(work, 'containers.conf'),
    `[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[engine.runtimes]\nrunc = ["${runc}"]\n[network]\nnetwork_backend = "netavark"\n`,
  );
  environment = {
    ...environment,
    CONTAINERS_CONF: join(work, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(work, 'storage.conf'),
    BUILDAH_ISOLATION: 'chroot',
  };
  const compose = (...args) => ['-f', podmanComposeFile(), '-p', 'codelab-check', ...args];
  return {
    build() {
      if (!run('podman', ['image', 'exists', NODE_IMAGE], { allowFailure: true }).ok) importNodeImage();
      for (const name of SERVICES) {
        say(`Building ${name}…`);
        run('podman', [
          'build',
          '--pull-never',
          '--network=host',
          '--build-arg',
          `SERVICE=${name}`,
          ...npmSettings(),
          '-t',
          `codelab/${name}`,
          '.',
        ]);
      }
    },
    up() {
      run('podman-compose', compose('--podman-run-args=--pull=never', 'up', '-d', '--no-build'));
    },
    health(name) {
      const [, ...command] = composeFile().services[name].healthcheck.test;
      run('podman', ['exec', `codelab-check_${name}_1`, ...command]);
    },
    user: (name) => run('podman', ['exec', `codelab-check_${name}_1`, 'id', '-u']).output.trim(),
    stop: (name) => run('podman', ['stop', '-t', '15', `codelab-check_${name}_1`]),
    logs: () =>
      SERVICES.map((name) => run('podman', ['logs', `codelab-check_${name}_1`], { allowFailure: true }).output).join(
        '\n',
      ),
    down: () => run('podman-compose', compose('down'), { allowFailure: true }),
  };
}

const composeFile = () => parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true });

/** docker-compose.yml without what Debian's podman-compose does not know: profiles, host-gateway, and healthchecks, which want systemd. */
function podmanComposeFile() {
  const { services } = composeFile();
  const known = Object.entries(services).flatMap(
    ([name, { healthcheck: _h, extra_hosts: _e, depends_on: _d, build: _b, ...rest }]) =>
      rest.profiles === undefined
        ? [[name, { ...rest, image: `localhost/${rest.image}`, env_file: join(root, '.env') }]]
        : [],
  );
  const file = join(work, 'compose.yml');
  writeFileSync(file, stringify({ services: Object.fromEntries(known) }));
  return file;
}

/** How npm reaches its registry on this machine, for the build's own npm. */
function npmSettings() {
  const file = join(process.env.HOME ?? '/root', '.npmrc');
  return existsSync(file) ? ['--volume', `${file}:/root/.npmrc:ro`] : [];
}

/** A Debian with this machine's node and npm, under the name that the Dockerfile starts from. */
function importNodeImage() {
  const folder = join(work, 'rootfs');
  say('Making a base image with debootstrap…');
  run('debootstrap', ['--variant=minbase', 'bookworm', folder]);
  const node = realpathSync(process.execPath);
  const modules = [join(dirname(dirname(node)), 'lib', 'node_modules', 'npm'), '/usr/lib/node_modules/npm'].find(
    existsSync,
  );
  if (modules === undefined) throw new Error('npm was not found beside node');
  cpSync(node, join(folder, 'usr/local/bin/node'));
  cpSync(modules, join(folder, 'usr/local/lib/node_modules/npm'), { recursive: true, dereference: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(folder, 'usr/local/bin/npm'));
  symlinkSync('../lib/node_modules/npm/bin/npx-cli.js', join(folder, 'usr/local/bin/npx'));
  cpSync('/etc/ssl/certs', join(folder, 'etc/ssl/certs'), { recursive: true, dereference: true });
  run('tar', ['-C', folder, '-cf', join(work, 'rootfs.tar'), '.']);
  // The certificates that this machine's npm trusts.
  run('podman', [
    'import',
    '--change',
    'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt',
    join(work, 'rootfs.tar'),
    NODE_IMAGE,
  ]);
}

async function untilHealthy(name) {
  const deadline = Date.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    const body = await fetch(`http://127.0.0.1:${PORTS[name]}/health`).then(
      (response) => response.json(),
      () => undefined,
    );
    if (body?.status === 'healthy' && body.service === name) return;
    if (Date.now() > deadline) throw new Error(`${name} is not healthy after ${HEALTHY_WITHIN_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function ask() {
  const response = await fetch('http://127.0.0.1:8000/api/v1/message', {
    method: 'POST',
    headers: { 'x-internal-auth': keys.GATEWAY__INTERNAL_API_KEY },
    body: JSON.stringify({ session_id: 'docker-check', message: 'Привет!' }),
  });
  const body = await response.json();
  if (!body.message?.includes('Привет!'))
    throw new Error(`gateway answered ${response.status} ${JSON.stringify(body)}`);
  const stranger = await fetch('http://127.0.0.1:8000/api/v1/sessions');
  if (stranger.status !== 401)
    throw new Error(`gateway in a container must ask for a token, and answered ${stranger.status}`);
}

const madeEnv = !existsSync(join(root, '.env'));
if (madeEnv)
  writeFileSync(
    join(root, '.env'),
    Object.entries(keys)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
    { mode: 0o600 },
  );
else {
  const { parse: parseEnv } = await import('dotenv');
  const own = parseEnv(readFileSync(join(root, '.env')));
  for (const name of Object.keys(keys)) keys[name] = own[name] || keys[name];
}
const engine = has('docker', 'info') ? withDocker() : withPodman();
let failed = false;
try {
  engine.build();
  say('Starting…');
  engine.up();
  for (const name of SERVICES) {
    await untilHealthy(name);
    engine.health(name);
    if (engine.user(name) === '0') throw new Error(`${name} runs as root`);
    say(`${name} is healthy, and not root`);
  }
  await ask();
  say('a message went through all three; a stranger got 401');
  const began = Date.now();
  engine.stop('gateway');
  if (Date.now() - began > 12_000) throw new Error('gateway did not stop on SIGTERM');
  say('gateway stopped on SIGTERM');
} catch (error) {
  failed = true;
  process.stderr.write(`${error.message}\n${engine.logs()}\n`);
} finally {
  engine.down();
  if (madeEnv) rmSync(join(root, '.env'));
  rmSync(work, { recursive: true, force: true });
}
say(failed ? 'docker:check failed' : 'docker:check passed');
process.exit(failed ? 1 : 0);
