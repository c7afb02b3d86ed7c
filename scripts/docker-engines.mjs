// What docker-check.mjs asks of Docker, and the same with podman where there is none. podman is Debian's, as root, and builds the base image
// from Debian's packages, so that no image registry is needed.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { composeServices } from './docker-compose-for-podman.mjs';

const SERVICES = ['llm-proxy', 'agent-runtime', 'gateway'];
const PROJECT = 'codelab-check';
const NODE_IMAGE = 'docker.io/library/node:22-slim';
/** Longer than anything takes on a loaded machine. */
const COMMAND_TIMEOUT_MS = 900_000;

/**
 * @typedef {object} Engine
 * @property {boolean} hasRegistry whether images can be pulled
 * @property {() => void} build
 * @property {(options?: { dev?: boolean, environment?: Record<string, string> }) => void} up `docker compose up -d`
 * @property {(options?: { volumes?: boolean }) => void} down
 * @property {(name: string) => void} healthcheck throws where the healthcheck of the service does not pass
 * @property {(name: string) => string} user
 * @property {(name: string, ...command: string[]) => string} exec
 * @property {(name: string) => void} restart
 * @property {(name: string) => void} stop
 * @property {(name: string) => string} logs
 */

/**
 * @param {{ folder: string, work: string, say: (text: string) => void }} options `folder`: the checkout
 * @returns {Engine}
 */
export function createEngine(options) {
  return has('docker', 'compose', 'version') && has('docker', 'info') ? withDocker(options) : withPodman(options);
}

const has = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/** Commands in `folder`, with nothing of this project's settings in their environment. */
function runner(folder, additions = {}) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(GATEWAY|AGENT_RUNTIME|LLM_PROXY|HEALTHCHECK|COMPOSE)_/.test(name),
  );
  const env = { ...Object.fromEntries(inherited), ...additions };
  /** @param {string} command @param {string[]} args @param {{ allowFailure?: boolean, environment?: Record<string, string> }} [options] */
  return (command, args, { allowFailure = false, environment = {} } = {}) => {
    const { status, stdout, stderr, error } = spawnSync(command, args, {
      cwd: folder,
      encoding: 'utf8',
      env: { ...env, ...environment },
      maxBuffer: 1 << 28,
      timeout: COMMAND_TIMEOUT_MS,
    });
    if (status !== 0 && !allowFailure)
      throw new Error(`${command} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`);
    return { ok: status === 0, output: `${stdout ?? ''}${stderr ?? ''}` };
  };
}

/** @returns {Engine} */
function withDocker({ folder, say }) {
  // Not LiteLLM and Ollama, which are gigabytes. The environment wins over .env.
  const run = runner(folder, { COMPOSE_PROFILES: 'postgres,redis' });
  const production = ['compose', '--project-name', PROJECT];
  const development = [...production, '-f', 'docker-compose.yml', '-f', 'docker-compose.dev.yml'];
  const compose = (...args) => run('docker', [...production, ...args]).output;
  return {
    hasRegistry: true,
    build() {
      say('Building…');
      compose('build');
      run('docker', [...development, 'build']);
    },
    up: ({ dev = false, environment = {} } = {}) => {
      run('docker', [...(dev ? development : production), 'up', '-d', '--wait'], { environment });
    },
    down: ({ volumes = false } = {}) => {
      const args = [...development, 'down', ...(volumes ? ['-v'] : [])];
      run('docker', args, { allowFailure: true });
    },
    // `up --wait` has seen it pass.
    healthcheck: () => {},
    user: (name) => compose('exec', '-T', name, 'id', '-u').trim(),
    exec: (name, ...command) => compose('exec', '-T', name, ...command),
    restart: (name) => compose('restart', name),
    stop: (name) => compose('stop', name),
    logs: (name) => run('docker', [...production, 'logs', name], { allowFailure: true }).output,
  };
}

/** @returns {Engine} */
function withPodman({ folder, work, say }) {
  for (const command of ['podman', 'podman-compose', 'debootstrap', 'runc']) {
    if (!has('which', command))
      throw new Error(
        `There is no Docker with Compose, and for podman ${command} is missing: apt-get install podman podman-compose buildah debootstrap runc iptables netavark aardvark-dns`,
      );
  }
  const run = runner(folder, configurePodman(work));
  const container = (name) => `${PROJECT}_${name}_1`;
  const file = join(folder, 'podman-compose.yml');
  const compose = ['-f', file, '-p', PROJECT];
  const names = [...SERVICES.map((name) => `keys-${name}`), 'agent-runtime', 'agent-runtime-dev'];
  const volumes = names.map((name) => `${PROJECT}_${name}`);
  return {
    hasRegistry: false,
    build() {
      if (!run('podman', ['image', 'exists', NODE_IMAGE], { allowFailure: true }).ok) importNodeImage(work, run, say);
      const build = (image, ...args) => {
        say(`Building ${image}…`);
        const settings = ['--pull-never', '--network=host', ...npmSettings()];
        run('podman', ['build', ...settings, ...args, '-t', `codelab/${image}`, '.']);
      };
      build('init', '--target', 'init');
      for (const name of SERVICES) build(name, '--build-arg', `SERVICE=${name}`);
      for (const name of SERVICES) build(`${name}-dev`, '--target', 'build', '--build-arg', 'SERVICE=gateway');
    },
    up({ dev = false, environment = {} } = {}) {
      run('podman-compose', [...compose, 'down'], { allowFailure: true });
      const services = composeServices({ folder, work, dev, environment });
      // As Compose does: the services wait until init has ended well.
      const start = (chosen) => {
        writeFileSync(
          file,
          JSON.stringify({ services: chosen, volumes: Object.fromEntries(names.map((name) => [name, {}])) }),
        );
        run('podman-compose', [...compose, '--podman-run-args=--pull=never', 'up', '-d', '--no-build'], {
          environment,
        });
      };
      const { init, ...others } = services;
      start({ init });
      const code = run('podman', ['wait', container('init')]).output.trim();
      if (code !== '0') throw new Error(`init ended with ${code}`);
      start({ init, ...others });
    },
    down({ volumes: alsoVolumes = false } = {}) {
      run('podman-compose', [...compose, 'down'], { allowFailure: true });
      if (alsoVolumes) run('podman', ['volume', 'rm', '-f', ...volumes], { allowFailure: true });
    },
    healthcheck(name) {
      const [, ...command] = composeServices({ folder, work, withHealthchecks: true })[name].healthcheck.test;
      run('podman', ['exec', container(name), ...command]);
    },
    user: (name) => run('podman', ['exec', container(name), 'id', '-u']).output.trim(),
    exec: (name, ...command) => run('podman', ['exec', container(name), ...command]).output,
    restart: (name) => run('podman', ['restart', '-t', '15', container(name)]),
    stop: (name) => run('podman', ['stop', '-t', '15', container(name)]),
    logs: (name) => run('podman', ['logs', container(name)], { allowFailure: true }).output,
  };
}

/** Writes podman's configuration and returns the environment that makes it used. */
function configurePodman(work) {
  const storage = join(tmpdir(), 'codelab-podman');
  mkdirSync(storage, { recursive: true });
  const runc = String(spawnSync('which', ['runc']).stdout).trim();
  const storageFile = join(work, 'storage.conf');
  const containersFile = join(work, 'containers.conf');
  writeFileSync(
    storageFile,
    `[storage]\ndriver = "overlay"\nrunroot = "${storage}/run"\ngraphroot = "${storage}/graph"\n`,
  );
  writeFileSync(
    containersFile,
    `[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[engine.runtimes]\nrunc = ["${runc}"]\n[network]\nnetwork_backend = "netavark"\n`,
  );
  return { CONTAINERS_CONF: containersFile, CONTAINERS_STORAGE_CONF: storageFile, BUILDAH_ISOLATION: 'chroot' };
}

/** How npm reaches its registry on this machine, for the build's own npm. */
function npmSettings() {
  const file = join(process.env.HOME ?? '/root', '.npmrc');
  return existsSync(file) ? ['--volume', `${file}:/root/.npmrc:ro`] : [];
}

/** A Debian with this machine's node and npm, under the name that the Dockerfile starts from. */
function importNodeImage(work, run, say) {
  const rootfs = join(work, 'rootfs');
  say('Making a base image with debootstrap…');
  run('debootstrap', ['--variant=minbase', 'bookworm', rootfs]);
  const node = realpathSync(process.execPath);
  const modules = [join(dirname(dirname(node)), 'lib', 'node_modules', 'npm'), '/usr/lib/node_modules/npm'].find(
    existsSync,
  );
  if (modules === undefined) throw new Error('npm was not found beside node');
  cpSync(node, join(rootfs, 'usr/local/bin/node'));
  cpSync(modules, join(rootfs, 'usr/local/lib/node_modules/npm'), { recursive: true, dereference: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(rootfs, 'usr/local/bin/npm'));
  symlinkSync('../lib/node_modules/npm/bin/npx-cli.js', join(rootfs, 'usr/local/bin/npx'));
  cpSync('/etc/ssl/certs', join(rootfs, 'etc/ssl/certs'), { recursive: true, dereference: true });
  run('tar', ['-C', rootfs, '-cf', join(work, 'rootfs.tar'), '.']);
  // The certificates that this machine's npm trusts.
  const certificates = 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt';
  run('podman', ['import', '--change', certificates, join(work, 'rootfs.tar'), NODE_IMAGE]);
}
