import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { EventEmitter, on } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';

const root = new URL('../..', import.meta.url).pathname;
const SETTINGS = /^(GATEWAY|AGENT_RUNTIME|LLM_PROXY)__/;
const LEFT_OUT = ['node_modules', '.git', '.turbo', 'dist', '.env', 'coverage'];

/** A copy of the working tree that a test may run and change, with its packages installed. */
export async function makeCheckout(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'codelab-'));
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
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
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
  /** Resolves with the first line, past or future, that matches `pattern`, `from` that many lines on. Rejects when the command ends before. */
  line(pattern: RegExp, from?: number): Promise<string>;
  /** To the whole group, as Ctrl+C does. */
  signalGroup(signal: NodeJS.Signals): void;
  signal(signal: NodeJS.Signals): void;
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
  const pid = child.pid as number;
  const lines: string[] = [];
  const events = new EventEmitter();
  events.setMaxListeners(0);
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream as NodeJS.ReadableStream }).on('line', (line) => {
      lines.push(line);
      events.emit('line', line);
    });
  }
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      events.emit('end');
      resolve(code);
    });
  });
  return {
    pid,
    lines,
    exited,
    async line(pattern, from = 0) {
      const before = lines.slice(from).find((line) => pattern.test(line));
      if (before !== undefined) return before;
      for await (const [line] of on(events, 'line', { close: ['end'] })) if (pattern.test(line)) return line;
      throw new Error(`it ended without a line like ${pattern}:\n${lines.join('\n')}`);
    },
    signalGroup: (signal) => process.kill(-pid, signal),
    signal: (signal) => process.kill(pid, signal),
    isGroupAlive() {
      try {
        process.kill(-pid, 0);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/** Whether something listens there. */
export async function isListening(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/health`).then(
    () => true,
    () => false,
  );
}

/** Resolves when nothing of the group is left: whoever was orphaned is no child of ours to wait for. */
export async function groupGone(running: Running): Promise<void> {
  while (running.isGroupAlive()) await new Promise((resolve) => setTimeout(resolve, 20));
}
