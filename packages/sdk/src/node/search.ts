import { Worker } from 'node:worker_threads';

/** The time limit of one file. */
const FILE_MS = 2_000;
const HEAP_MB = 256;

/** The code of the search thread: as text, so that bundlers include it. A thread can be stopped in the middle of an expression. */
const SCRIPT = `
const { parentPort, workerData } = require('node:worker_threads');
const { source, flags, maxLine } = workerData;
const expression = new RegExp(source, flags);
parentPort.on('message', ({ text, max }) => {
  const found = [];
  const lines = expression.test(text) ? text.split('\\n') : [];
  for (let index = 0; index < lines.length && found.length < max; index++)
    if (expression.test(lines[index])) found.push({ line: index + 1, text: lines[index].trim().slice(0, maxLine) });
  parentPort.postMessage(found);
});
`;

export interface FoundLine {
  /** From 1. */
  line: number;
  text: string;
}

/** Searches texts for an expression, in a thread. */
export interface LineSearch {
  /** Returns the lines that match, at most `max`; undefined where it takes too long, or too much memory. Rejects when the signal aborts. */
  linesOf(text: string, max: number): Promise<FoundLine[] | undefined>;
  close(): void;
}

export interface LineSearchOptions {
  expression: RegExp;
  /** Longer lines are cut. */
  maxLine: number;
  signal: AbortSignal;
  /**
   * Limits the time of one file. Milliseconds.
   * @default 2000
   */
  fileMs?: number;
}

export function createLineSearch({ expression, maxLine, signal, fileMs = FILE_MS }: LineSearchOptions): LineSearch {
  const { source, flags } = expression;
  let started: Promise<Worker> | undefined;

  const start = (): Promise<Worker> => {
    const worker = new Worker(SCRIPT, {
      eval: true,
      workerData: { source, flags, maxLine },
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    // The `exit` event follows, and is handled.
    worker.on('error', () => {});
    return new Promise((resolve) => {
      for (const event of ['online', 'exit']) worker.once(event, () => resolve(worker));
    });
  };
  const close = (): void => {
    void started?.then((worker) => worker.terminate());
    started = undefined;
  };

  return {
    async linesOf(text, max) {
      started ??= start();
      const worker = await started;
      signal.throwIfAborted();
      let timer: NodeJS.Timeout | undefined;
      let onAbort = () => {};
      const found = await new Promise<FoundLine[] | 'ended' | 'aborted'>((resolve) => {
        worker.once('message', resolve);
        worker.once('exit', () => resolve('ended'));
        timer = setTimeout(() => resolve('ended'), fileMs);
        onAbort = () => resolve('aborted');
        signal.addEventListener('abort', onAbort);
        worker.postMessage({ text, max });
      });
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      worker.removeAllListeners('message').removeAllListeners('exit');
      if (typeof found !== 'string') return found;
      close();
      signal.throwIfAborted();
      return undefined;
    },
    close,
  };
}
