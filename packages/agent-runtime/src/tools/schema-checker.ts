import { Worker } from 'node:worker_threads';
import { BoundedMap, CodelabError, type ToolSpec } from '@codelab/protocol';

type Schema = ToolSpec['inputSchema'];

/** Validates JSON Schemas, and arguments against them, in a thread with a limit of time and memory, so that none holds the process up. */
export interface SchemaChecker {
  /** Returns why a schema can't be used; undefined where it can. Throws `OVERLOADED` where too much is being checked. */
  validateSchema(schema: Schema): Promise<string | undefined>;
  /** Returns why arguments cannot be used, for the model; undefined where they are valid. */
  validateArguments(schema: Schema, args: unknown, signal?: AbortSignal): Promise<string | undefined>;
  /** Starts the thread before it is needed. */
  warmUp(): void;
  close(): Promise<void>;
}

export interface SchemaCheckerOptions {
  /** Milliseconds. */
  compileMs?: number;
  checkMs?: number;
  /** Limits the wait in the queue. */
  waitMs?: number;
}

/** The time limits of compiling one schema, and of one check. The second is short: the next check waits for it. */
const COMPILE_MS = 5_000;
const CHECK_MS = 2_000;
const WAIT_MS = 10_000;
/** Compiled schemas take some 40 times their text. UTF-16 code units. */
const KEPT_LENGTH = 1024 * 1024;
const HEAP_MB = 256;
const MAX_SUSPECTS = 1_000;
const MAX_WAITING = 2_000;

interface Answer {
  /** Set where the arguments are invalid. */
  invalidArguments?: string;
  /** Set where the schema is invalid. */
  invalidSchema?: string;
  /** Set where it took too long or too much memory, or never began. */
  isLate?: 'ran' | 'waited' | 'aborted';
}

interface Job {
  schema: string;
  args: unknown;
  waitMs: number;
  signal: AbortSignal | undefined;
  settle: (answer: Answer) => void;
}

export function createSchemaChecker(options: SchemaCheckerOptions = {}): SchemaChecker {
  const { compileMs = COMPILE_MS, checkMs = CHECK_MS, waitMs = WAIT_MS } = options;
  const calls = createLane({ compileMs, checkMs });
  /** Runs schemas that have taken too long before, so that they hold up only each other. */
  const slow = createLane({ compileMs, checkMs });
  const suspects = new BoundedMap<string, true>(MAX_SUSPECTS);

  const ask = async (schema: Schema, args: unknown, isUrgent: boolean, signal?: AbortSignal): Promise<Answer> => {
    const text = JSON.stringify(schema);
    const lane = suspects.has(text) ? slow : calls;
    const answer = await lane.run({ schema: text, args, waitMs: isUrgent ? waitMs : 2 * waitMs, signal }, isUrgent);
    if (answer.isLate === 'ran') {
      suspects.set(text, true);
    }
    return answer;
  };

  return {
    async validateSchema(schema) {
      const { invalidSchema, isLate } = await ask(schema, undefined, false);
      if (isLate === 'waited')
        throw new CodelabError('OVERLOADED', 'Too many schemas are being checked at the moment.', {
          retryAfterMs: 1000,
        });
      if (isLate !== undefined) return 'takes too long or too much memory to be compiled: make it simpler';
      return invalidSchema === undefined ? undefined : `is no JSON Schema: ${invalidSchema}`;
    },
    async validateArguments(schema, args, signal) {
      const { invalidArguments, invalidSchema, isLate } = await ask(schema, args, true, signal);
      if (isLate === 'aborted') return 'they were not checked, because the run was stopped';
      if (isLate === 'waited') return 'they could not be checked in time, because too much is being checked: try again';
      if (isLate !== undefined)
        return "checking them against the tool's schema takes too long or too much memory: send shorter ones, or use another tool";
      return invalidSchema === undefined
        ? invalidArguments
        : `the schema of the tool cannot be used (${invalidSchema}): use another tool`;
    },
    warmUp: calls.warmUp,
    async close() {
      await Promise.all([calls.close(), slow.close()]);
    },
  };
}

/** Runs checks one after the other in a thread, which is replaced where one takes too long. */
function createLane({ compileMs, checkMs }: { compileMs: number; checkMs: number }) {
  const urgent: Job[] = [];
  const others: Job[] = [];
  let thread: { worker: Worker; isFresh: boolean; isReady: boolean } | undefined;
  let current: { job: Job; id: number; timer: NodeJS.Timeout | undefined } | undefined;
  let lastId = 0;
  let isClosed = false;

  const start = (): void => {
    // Beside this file in the sources, beside the bundle where there is one.
    const worker = new Worker(new URL('./schema-worker.js', import.meta.url), {
      workerData: { keptLength: KEPT_LENGTH },
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 32 },
      // It gets none of our variables.
      env: {},
    });
    worker.unref();
    const own = { worker, isFresh: true, isReady: false };
    thread = own;
    worker.on('message', (message: Answer & { id?: number; isReady?: true; isCompiled?: true }) => {
      if (thread !== own) return;
      if (message.isReady === true) {
        own.isReady = true;
        next();
        return;
      }
      if (current === undefined || message.id !== current.id) return;
      if (message.isCompiled === true) arm(checkMs);
      else {
        own.isFresh = false;
        finish(message);
      }
    });
    worker.on('error', () => lost(own));
    worker.on('exit', () => lost(own));
  };

  /** Its memory is used up. A thread that has done other things before may have been filled by those. */
  const lost = (own: NonNullable<typeof thread>): void => {
    if (thread !== own) return;
    thread = undefined;
    if (current !== undefined && !own.isFresh) {
      clearTimeout(current.timer);
      urgent.unshift(current.job);
      current = undefined;
    }
    if (current !== undefined) finish({ isLate: 'ran' });
    else if (own.isReady) next();
    // The thread could not be started.
    else for (const job of [...urgent.splice(0), ...others.splice(0)]) job.settle({ isLate: 'waited' });
  };

  const arm = (ms: number): void => {
    if (current === undefined) return;
    clearTimeout(current.timer);
    current.timer = setTimeout(() => {
      const overrun = thread;
      thread = undefined;
      void overrun?.worker.terminate();
      finish({ isLate: 'ran' });
    }, ms);
  };

  const finish = (answer: Answer): void => {
    const done = current;
    current = undefined;
    clearTimeout(done?.timer);
    done?.job.settle(answer);
    next();
  };

  const next = (): void => {
    if (isClosed || current !== undefined || (urgent.length === 0 && others.length === 0)) return;
    if (thread === undefined) start();
    if (thread?.isReady !== true) return;
    const job = (urgent.shift() ?? others.shift()) as Job;
    const id = ++lastId;
    current = { job, id, timer: undefined };
    try {
      thread.worker.postMessage({ id, schema: job.schema, args: job.args });
      arm(compileMs);
    } catch {
      finish({ isLate: 'ran' });
    }
  };

  return {
    warmUp() {
      if (!isClosed && thread === undefined) start();
    },
    run: ({ schema, args, waitMs, signal }: Omit<Job, 'settle'>, isUrgent: boolean): Promise<Answer> =>
      new Promise((resolve) => {
        const queue = isUrgent ? urgent : others;
        if (isClosed || queue.length >= MAX_WAITING) return resolve({ isLate: 'waited' });
        const settle = (answer: Answer) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          resolve(answer);
        };
        const job: Job = { schema, args, waitMs, signal, settle };
        const giveUp = (isLate: 'waited' | 'aborted') => {
          for (const each of [urgent, others]) if (each.includes(job)) each.splice(each.indexOf(job), 1);
          settle({ isLate });
        };
        const onAbort = () => giveUp('aborted');
        const timer = setTimeout(() => {
          if (current?.job !== job) giveUp('waited');
        }, waitMs);
        signal?.addEventListener('abort', onAbort, { once: true });
        if (signal?.aborted === true) return onAbort();
        queue.push(job);
        next();
      }),
    async close(): Promise<void> {
      isClosed = true;
      const last = thread;
      thread = undefined;
      clearTimeout(current?.timer);
      current?.job.settle({ isLate: 'waited' });
      for (const job of [...urgent.splice(0), ...others.splice(0)]) job.settle({ isLate: 'waited' });
      await last?.worker.terminate();
    },
  };
}
