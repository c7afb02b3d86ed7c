import { spawn } from 'node:child_process';

/** Longer output is cut to its beginning and its end. UTF-16 code units. */
const HEAD = 20_000;
const TAIL = 40_000;
/** The time between SIGTERM and SIGKILL. */
const GRACE_MS = 2_000;

export interface CommandOptions {
  cwd: string;
  timeoutMs: number;
  signal: AbortSignal;
  env: Record<string, string | undefined>;
}

export interface CommandResult {
  exitCode: number | null;
  /** The reason, where the command was stopped. */
  ended?: 'timeout' | 'cancelled';
  /** stdout and stderr as they came. */
  output: string;
}

/** Functions that stop the running commands. */
const running = new Set<() => void>();

function endCommands(): void {
  for (const end of running) end();
}

/**
 * Runs a command in the system's shell, and stops it with its child processes when its time is over, or this process exits. A child that starts a process group of
 * its own (`setsid`) survives, and all of them do where this process is killed.
 */
export function runCommand(command: string, { cwd, timeoutMs, signal, env }: CommandOptions): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const isWindows = process.platform === 'win32';
    const child = spawn(command, {
      cwd,
      env,
      shell: true,
      // A group of its own, so that what it starts ends with it.
      detached: !isWindows,
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
    const output = createOutput();
    let ended: CommandResult['ended'];

    const kill = (name: NodeJS.Signals) => {
      if (child.pid === undefined) return;
      try {
        if (isWindows) spawn('taskkill', ['/pid', String(child.pid), '/t', '/f'], { stdio: 'ignore' });
        else process.kill(-child.pid, name);
      } catch {
        // It has ended meanwhile.
      }
    };
    if (!process.listeners('exit').includes(endCommands)) process.on('exit', endCommands);
    const endNow = () => kill('SIGKILL');
    running.add(endNow);
    let force: NodeJS.Timeout | undefined;
    const end = (why: NonNullable<CommandResult['ended']>) => {
      if (ended !== undefined) return;
      ended = why;
      kill('SIGTERM');
      force = setTimeout(() => kill('SIGKILL'), GRACE_MS);
    };
    const timer = setTimeout(() => end('timeout'), timeoutMs);
    const onAbort = () => end('cancelled');
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();

    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', output.add);
    }
    const settle = () => {
      running.delete(endNow);
      clearTimeout(timer);
      clearTimeout(force);
      signal.removeEventListener('abort', onAbort);
    };
    child.once('error', (error) => {
      settle();
      reject(new Error(`The command could not be started: ${error.message}`));
    });
    child.once('exit', () => {
      // Something that was left behind may keep the pipes open for ever.
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, 500).unref();
    });
    child.once('close', (exitCode) => {
      settle();
      kill('SIGKILL');
      resolve({ exitCode, ...(ended === undefined ? {} : { ended }), output: output.text() });
    });
  });
}

function createOutput() {
  let head = '';
  let tail = '';
  let left = 0;
  return {
    add(text: string) {
      const room = HEAD - head.length;
      head += text.slice(0, Math.max(0, room));
      tail += room >= text.length ? '' : text.slice(Math.max(0, room));
      if (tail.length > 2 * TAIL) {
        left += tail.length - TAIL;
        tail = tail.slice(-TAIL);
      }
    },
    text() {
      const over = Math.max(0, tail.length - TAIL);
      const missing = left + over;
      return missing === 0 ? head + tail : `${head}\n[… ${missing} characters left out …]\n${tail.slice(over)}`;
    },
  };
}
