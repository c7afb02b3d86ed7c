import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SETTINGS = /^(GATEWAY|AGENT_RUNTIME|LLM_PROXY)__/;
const LEFT_OUT = ['node_modules', '.git', '.turbo', 'dist', '.env', '.codelab', 'coverage'];
/** Longer than anything takes on a loaded machine, and shorter than the time of a test. */
const PATIENCE_MS = 80_000;
/** The same where it builds everything first: for `line`, and a little more for the test. */
export const BUILD_MS = 240_000;

/** A copy of the working tree that a test may run and change, with its packages installed, in a folder as people name theirs. */
export async function makeCheckout(): Promise<{ folder: string; remove(): Promise<void> }> {
  const parent = await mkdtemp(join(tmpdir(), 'codelab-'));
  const folder = join(parent, 'Мой проект, копия');
  await mkdir(folder);
  await cp(root, folder, {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => path === root || !LEFT_OUT.includes(basename(path)),
  });
  // Hard links where the file system has them: the packages are 300 MB.
  try {
    execFileSync('cp', ['-al', join(root, 'node_modules'), join(folder, 'node_modules')], { stdio: 'ignore' });
  } catch {
    execFileSync('cp', ['-a', join(root, 'node_modules'), join(folder, 'node_modules')]);
  }
  return { folder, remove: () => rm(parent, { recursive: true, force: true }) };
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
        ),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A command with all it starts, in a process group of its own, as a terminal would have it. */
export interface Running {
  pid: number;
  /** All lines so far, of stdout and stderr. */
  lines: string[];
  /**
   * Resolves with the first line, past or future, that matches `pattern`, `from` that many lines on. Rejects when the command ends
   * before, and after `patienceMs` (default 80 s), with all that it said.
   */
  line(pattern: RegExp, from?: number, patienceMs?: number): Promise<string>;
  /** To the whole group, as Ctrl+C does. */
  signalGroup(signal: NodeJS.Signals): void;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the exit code: null when a signal ended it, or when it could not be started. */
  exited: Promise<number | null>;
  /** Whether any process of the group is left. */
  isGroupAlive(): boolean;
}

export function run(command: string, args: string[], options: { cwd: string; env?: Record<string, string> }): Running {
  // Whoever runs the tests may have settings of their own in the environment.
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SETTINGS.test(name)));
  const child: ChildProcess = spawn(command, args, {
    cwd: options.cwd,
    env: { ...inherited, NO_COLOR: '1', NODE_ENV: '', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  // 0 is nobody: what could not be started has no process.
  const pid = child.pid ?? 0;
  const lines: string[] = [];
  const events = new EventEmitter();
  events.setMaxListeners(0);
  const say = (line: string) => {
    lines.push(line);
    events.emit('line', line);
  };
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream as NodeJS.ReadableStream }).on('line', say);
  let hasEnded = false;
  const exited = new Promise<number | null>((resolve) => {
    const end = (code: number | null) => {
      hasEnded = true;
      events.emit('end');
      resolve(code);
    };
    child.once('close', end);
    child.once('error', (error) => {
      say(`${command} could not be started in ${options.cwd}: ${error.message}`);
      if (pid === 0) end(null);
    });
  });
  return {
    pid,
    lines,
    exited,
    line(pattern, from = 0, patienceMs = PATIENCE_MS) {
      const before = lines.slice(from).find((line) => pattern.test(line));
      if (before !== undefined) return Promise.resolve(before);
      return new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(timer);
          events.off('line', onLine);
          events.off('end', onEnd);
        };
        const fail = (why: string) => {
          settle();
          reject(new Error(`${why} without a line like ${pattern}:\n${lines.join('\n')}`));
        };
        const onLine = (line: string) => {
          if (!pattern.test(line)) return;
          settle();
          resolve(line);
        };
        const onEnd = () => fail('it ended');
        const timer = setTimeout(() => fail(`${patienceMs / 1000} s went by`), patienceMs);
        events.on('line', onLine);
        events.once('end', onEnd);
        if (hasEnded) onEnd();
      });
    },
    signalGroup: (signal) => signalTo(-pid, signal),
    signal: (signal) => signalTo(pid, signal),
    isGroupAlive() {
      if (pid === 0) return false;
      try {
        process.kill(-pid, 0);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/** To process 0 would be to our own group. One that has ended meanwhile takes no signal, and needs none. */
function signalTo(pid: number, signal: NodeJS.Signals): void {
  if (pid === 0) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether something listens there. */
export async function isListening(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/health`).then(
    () => true,
    () => false,
  );
}

/** Resolves when nothing of the group is left: whoever was orphaned is no child of ours to wait for. Rejects after 80 s. */
export async function groupGone(running: Running): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (running.isGroupAlive()) {
    if (Date.now() > deadline)
      throw new Error(`process group ${running.pid} is still there after ${PATIENCE_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
