import { Worker } from 'node:worker_threads';
import type { Statement } from '../commit-queue.ts';

/** Writes an SQLite file in a thread. */
export interface SqliteThread {
  /** Rejects with SQLite's own error. */
  transact(statements: Statement[]): Promise<void>;
  close(): Promise<void>;
}

interface Answer {
  id: number;
  error?: { message: string; code?: string };
}

/** Starts the thread that writes the file at `path`. */
export function startSqliteThread(path: string): SqliteThread {
  // It stands beside this file in the sources, and beside the bundle.
  const worker = new Worker(new URL('./sqlite-worker.js', import.meta.url), { workerData: { path } });
  const waiting = new Map<number, { resolve(): void; reject(error: unknown): void }>();
  let lastId = 0;
  let failure: Error | undefined;

  worker.on('message', ({ id, error }: Answer) => {
    const answer = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) answer?.resolve();
    else answer?.reject(Object.assign(new Error(error.message), { code: error.code }));
  });
  const end = (error: Error) => {
    failure = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on('error', end);
  worker.on('exit', () => end(failure ?? new Error('The thread that writes the database has ended.')));

  return {
    transact: (statements) =>
      new Promise((resolve, reject) => {
        if (failure !== undefined) return reject(failure);
        const id = ++lastId;
        waiting.set(id, { resolve, reject });
        worker.postMessage({
          id,
          statements: statements.map(({ sql, parameters, expectRows }) => ({ sql, parameters, expectRows })),
        });
      }),
    async close() {
      await worker.terminate();
    },
  };
}
