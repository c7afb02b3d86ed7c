// Programs of packages, npm, and stopping, on every system. On Windows there is no SIGTERM, and what npm puts into node_modules/.bin, or is
// itself, are .cmd files, which need a shell: so node runs the JavaScript of each, and no name or path is quoted for a shell.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix, win32 } from 'node:path';

/** @typedef {{ command: string, args: string[] }} Command for `spawn`, without a shell */

/**
 * Returns the command that runs a program of an installed package.
 * Throws where the package is not installed.
 * @param {string} folder the folder whose packages count, and those of the folders above it
 * @param {string} name the package
 * @param {string[]} args
 * @param {string} [program] which of its programs. Default: the one that is called as the package is.
 * @returns {Command}
 */
export function packageCommand(folder, name, args, program = name.split('/').at(-1) ?? name) {
  for (let from = folder; ; from = dirname(from)) {
    const home = join(from, 'node_modules', name);
    if (existsSync(join(home, 'package.json'))) {
      const { bin } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
      const file = typeof bin === 'string' ? bin : bin?.[program];
      if (file === undefined) throw new Error(`The package ${name} has no program ${program}.`);
      return { command: process.execPath, args: [join(home, file), ...args] };
    }
    if (dirname(from) === from) throw new Error(`The package ${name} is not installed: npm install`);
  }
}

/**
 * Returns the command that runs npm: the npm that runs us, else the one beside node, else the one of the PATH.
 * @param {string[]} args
 * @param {{ platform?: NodeJS.Platform, env?: NodeJS.ProcessEnv, execPath?: string, exists?: (path: string) => boolean }} [at]
 * @returns {Command}
 */
export function npmCommand(args, at = {}) {
  const { platform = process.platform, env = process.env, execPath = process.execPath, exists = existsSync } = at;
  const path = platform === 'win32' ? win32 : posix;
  const folder = path.dirname(execPath);
  const candidates = [
    path.join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    path.join(path.dirname(folder), 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ];
  // Other package managers say there where they are.
  const running = env.npm_execpath ?? '';
  if (path.basename(running) === 'npm-cli.js') candidates.unshift(running);
  const script = candidates.find((candidate) => exists(candidate));
  return script === undefined ? { command: 'npm', args } : { command: execPath, args: [script, ...args] };
}

/**
 * Asks a service to stop. A service that has an IPC channel stops when it closes; where there is no SIGTERM, `kill` would not ask.
 * @param {import('node:child_process').ChildProcess} service
 */
export function askToStop(service, platform = process.platform) {
  if (platform !== 'win32') service.kill('SIGTERM');
  else if (service.connected) service.disconnect();
}

/**
 * Ends a process and, where signals do not reach them, all that it started.
 * @param {import('node:child_process').ChildProcess} child
 */
export function endTree(child, platform = process.platform) {
  if (platform !== 'win32') child.kill('SIGTERM');
  else if (child.pid !== undefined) spawnSync('taskkill', ['/pid', String(child.pid), '/t', '/f'], { stdio: 'ignore' });
}

/** @param {number} pid */
export function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and somebody else's.
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * Calls `callback` when the process that started this one is gone: npm's shell does not pass on a SIGTERM that only npm got.
 * @param {() => void} callback
 */
export function onParentGone(callback) {
  const parent = process.ppid;
  const timer = setInterval(() => {
    // On Windows an orphan keeps the number of its parent.
    if (process.ppid === parent && isRunning(parent)) return;
    clearInterval(timer);
    callback();
  }, 200);
  timer.unref();
}
