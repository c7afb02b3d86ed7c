import { CodelabError } from '@codelab/protocol';
import { type Logger, MAX_TIMER_MS } from '@codelab/service-kit';
import type { CompiledQuery } from 'kysely';

const MAX_BATCH = 200;
const MAX_PAUSE_MS = 1_000;

/** A change. It must be idempotent: where the database's answer is lost, it is made again. */
export type Write = Statement[];

export interface Statement extends CompiledQuery {
  /** The transaction fails with `Conflict` where it changes another number of rows. */
  expectRows?: number;
}

/** Thrown where another commit came between. */
export class Conflict extends Error {
  override name = 'Conflict';
  readonly code = 'CONFLICT';
}

/** Makes changes durable: those that come together, in one transaction. */
export interface CommitQueue {
  /**
   * Resolves once all of `writes` are on disk, or rejects with none of them. A database that can't be reached, is locked or full
   * is retried until `deadlineMs` have passed: then it throws `OVERLOADED`, and may be on disk all the same. Throws
   * `Conflict` where a statement changes another number of rows than it expects. Commits are made in the order of the calls.
   */
  commit(writes: Write[], options?: CommitOptions): Promise<void>;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
}

export interface CommitOptions {
  /**
   * Milliseconds.
   * @default 4000
   */
  deadlineMs?: number;
  /** Called where it is, or may be, stored after its deadline. */
  onLate?: () => void;
}

interface Job {
  onLate: (() => void) | undefined;
  writes: Write[];
  /** True once the caller was told that it could not be stored in time. */
  isOver: boolean;
  timer: NodeJS.Timeout | undefined;
  resolve(): void;
  reject(error: Error): void;
}

export function createCommitQueue(
  database: { transact(statements: Statement[]): Promise<void> },
  log: Logger,
): CommitQueue {
  let queue: Job[] = [];
  let working: Promise<void> | undefined;
  /** The failure of the last transaction; undefined once one succeeds. */
  let lastFailure: unknown;

  const transact = (jobs: Job[]): Promise<void> => database.transact(jobs.flatMap(({ writes }) => writes.flat()));

  const settle = (job: Job, error?: Error): void => {
    clearTimeout(job.timer);
    if (job.isOver) {
      job.onLate?.();
      return;
    }
    job.isOver = true;
    if (error === undefined) job.resolve();
    else job.reject(error);
  };

  const work = async (): Promise<void> => {
    let failures = 0;
    for (;;) {
      // Commits of the same turn of the event loop go into one transaction.
      await new Promise((resolve) => setImmediate(resolve));
      // A commit whose deadline has passed before it was begun is not stored later.
      queue = queue.filter(({ isOver }) => !isOver);
      const jobs = queue.slice(0, MAX_BATCH);
      if (jobs.length === 0) {
        working = undefined;
        return;
      }
      try {
        await transact(jobs);
        queue = queue.slice(jobs.length);
        failures = 0;
        lastFailure = undefined;
        for (const job of jobs) settle(job);
      } catch (error) {
        lastFailure = error;
        if (isTransient(error)) {
          if (failures++ === 0)
            log.warn(
              { err: (error as Error).message, event: 'commit.retry' },
              'the database cannot be written, trying again',
            );
          // These may be stored, although their callers were told that they are not.
          for (const job of jobs) if (job.isOver) job.onLate?.();
          await new Promise((resolve) => setTimeout(resolve, Math.min(25 * 2 ** failures, MAX_PAUSE_MS)));
        } else if (jobs.length > 1) {
          // One of them is wrong, and must not fail the others.
          await eachAlone(jobs);
          queue = queue.slice(jobs.length);
        } else {
          queue = queue.slice(1);
          settle(jobs[0] as Job, permanent(error));
        }
      }
    }
  };

  const eachAlone = async (jobs: Job[]): Promise<void> => {
    for (const job of jobs) {
      try {
        await transact([job]);
        settle(job);
      } catch (error) {
        settle(job, isTransient(error) ? unavailable(error) : permanent(error));
      }
    }
  };

  return {
    commit: (writes, { deadlineMs = 4_000, onLate } = {}) =>
      new Promise((resolve, reject) => {
        const job: Job = { writes, onLate, isOver: false, timer: undefined, resolve, reject };
        job.timer = setTimeout(
          () => settle(job, unavailable(lastFailure ?? new Error('it does not answer'))),
          Math.min(deadlineMs, MAX_TIMER_MS),
        );
        queue.push(job);
        working ??= work();
      }),
    idle: () => working ?? Promise.resolve(),
  };
}

function permanent(cause: unknown): Error {
  const { code, message } = cause as { code?: unknown; message: string };
  return code === 'CONFLICT' ? new Conflict(message) : new CodelabError('INTERNAL', undefined, { cause });
}

function unavailable(cause: unknown): CodelabError {
  const { message } = cause as Error;
  const why = isFull(cause) ? 'its disk is full' : message;
  return new CodelabError('OVERLOADED', `The database cannot be written now: ${why}. Sending the same again is safe.`, {
    retryAfterMs: 1000,
    cause,
  });
}

function isFull(error: unknown): boolean {
  return /SQLITE_FULL|53100|ENOSPC/.test(String((error as { code?: unknown }).code));
}

/** True where the same transaction may succeed a moment later. https://www.sqlite.org/rescode.html, https://www.postgresql.org/docs/15/errcodes-appendix.html */
export function isTransient(error: unknown): boolean {
  const { code, message, errors } = error as { code?: unknown; message?: string; errors?: unknown[] };
  if (Array.isArray(errors)) return errors.every(isTransient);
  if (typeof code === 'string') {
    if (/^SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN|READONLY|PROTOCOL)/.test(code)) return true;
    if (/^(08|53|57P)/.test(code) || ['40001', '40P01', '57014', '25006'].includes(code)) return true;
    if (/^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOSPC)/.test(code)) return true;
  }
  return /terminated|timeout|Connection|not queryable/i.test(message ?? '');
}
