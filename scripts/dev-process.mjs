// One service under `npm run dev`: restarted after each good build and when .env changes; a failed build leaves it running.
import { spawn } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { askToStop, isRunning } from './commands.mjs';
import { prettyLines } from './log-lines.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const STOP_MS = 300;

/** @param {string} name */
export function createDevProcess(name) {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let child;
  let queue = Promise.resolve();

  const stop = async () => {
    const stopping = child;
    child = undefined;
    if (stopping === undefined || stopping.exitCode !== null || stopping.signalCode !== null) return;
    const exited = new Promise((resolve) => stopping.once('exit', resolve));
    askToStop(stopping);
    const force = setTimeout(() => stopping.kill('SIGKILL'), STOP_MS * 2);
    await exited;
    clearTimeout(force);
  };

  const start = () => {
    const prefix = name.toUpperCase().replaceAll('-', '_');
    const started = spawn(process.execPath, ['--enable-source-maps', 'dist/main.js'], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      // Its answer to a save is to be up again at once, not to finish what runs.
      env: { [`${prefix}__SHUTDOWN_TIMEOUT_MS`]: String(STOP_MS), ...process.env },
    });
    child = started;
    prettyLines(started.stdout, (line) => process.stdout.write(`${line}\n`));
    started.once('exit', (code) => {
      if (child === started && code !== 0)
        process.stdout.write(`${name} exited (${code}): it starts again when a file or .env is saved\n`);
    });
  };

  const restart = () => {
    queue = queue.then(stop).then(start);
    return queue;
  };

  watchEnvFile(restart);
  onLauncherGone(() => process.emit('SIGTERM'));
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      queue = queue.then(stop).then(() => process.exit(0));
    });
  }
  // tsup prints the error of a build and goes on watching.
  return { restart };
}

/** @param {() => void} onChange */
function watchEnvFile(onChange) {
  let timer;
  watch(root, (_event, file) => {
    if (file === null || basename(file) !== '.env' || !existsSync(root)) return;
    clearTimeout(timer);
    timer = setTimeout(onChange, 50);
  }).unref();
}

/**
 * Calls `callback` when `npm run dev` is gone, however it died. Under a bare `turbo dev` there is nothing to watch.
 * @param {() => void} callback
 */
export function onLauncherGone(callback) {
  const pid = Number(process.env.CODELAB_LAUNCHER_PID);
  if (!pid) return;
  const timer = setInterval(() => {
    if (isRunning(pid)) return;
    clearInterval(timer);
    callback();
  }, 500);
  timer.unref();
}
