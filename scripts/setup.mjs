// What `npm start`, `npm test`, `npm run dev` and `npm run chat` do first, on a clone that has nothing yet; `npm run setup` does it alone.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npmCommand, packageCommand } from './commands.mjs';
import { replaceFile, withKeys } from './env-keys.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MIN_NODE = [20, 19];

/**
 * Runs a command whose output matters only when it fails.
 * @param {import('./commands.mjs').Command} command @param {string} what
 */
function runOrExit({ command, args }, what) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status === 0) return;
  process.stderr.write(
    `${stdout ?? ''}${stderr ?? ''}${what} failed${error === undefined ? '' : `: ${error.message}`}.\n`,
  );
  process.exit(1);
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  process.stderr.write(`This needs Node ${MIN_NODE.join('.')} or newer, and this is ${process.versions.node}.\n`);
  process.exit(1);
}

/** Installs what package-lock.json asks for, where that is not what is there. */
export function install() {
  requireNode();
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs) return;
  process.stdout.write('Installing packages…\n');
  // Not `npm ci`: it refuses a lock that lacks another platform's optional packages, as a registry that lacks them makes it.
  runOrExit(npmCommand(['install', '--no-save', '--no-fund', '--no-audit', '--loglevel=error']), 'npm install');
}

/** Builds what has changed. */
export function build() {
  process.stdout.write('Building…\n');
  const args = ['run', 'build', '--output-logs=errors-only', '--log-order=grouped'];
  runOrExit(packageCommand(root, 'turbo', args), 'The build');
}

/** Writes .env with random keys where there is none, and fills in those that it lacks or leaves empty. */
export function writeEnv() {
  const file = join(root, '.env');
  const isNew = !existsSync(file);
  const { text, made } = withKeys(readFileSync(isNew ? join(root, '.env.example') : file, 'utf8'));
  if (made.length === 0) return;
  replaceFile(file, text);
  // Windows has no such modes; what is in a person's own folders is theirs.
  const readers = process.platform === 'win32' ? '' : ' (only you can read it)';
  process.stdout.write(`${isNew ? 'Wrote .env with random keys' : 'Filled in the keys of .env'}${readers}.\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  install();
  writeEnv();
  build();
}
