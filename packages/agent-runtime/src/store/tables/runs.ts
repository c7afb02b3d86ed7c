import { CodelabError, noUsage, type Run } from '@codelab/protocol';
import type { Insertable, Kysely } from 'kysely';
import type { Write } from '../commit-queue.ts';
import { excluded } from '../excluded.ts';
import { prepare } from '../prepare.ts';
import type { Reader } from '../reader.ts';
import { parseObject, reviveDates } from '../row-json.ts';
import type { Database, TableRow } from '../schema.ts';

export interface StoredRun {
  run: Run;
  /** How many processes have started and found it unfinished. */
  attempts: number;
  /** True once a client's cancellation was accepted. */
  isCancelled: boolean;
}

export interface RunQueries {
  /** Throws `INTERNAL` where the row cannot be read. */
  run(sessionId: string, runId: string): Promise<Run | undefined>;
  runningRun(sessionId: string): Promise<StoredRun | undefined>;
  /** Returns the ids of sessions with a running run, or with inputs that wait. */
  unfinishedSessions(): Promise<string[]>;
}

export function createRunQueries({ db, query, parse }: Reader): RunQueries {
  const parseRun = (row: Pick<TableRow<'runs'>, 'session_id' | 'run_id' | 'data'>) =>
    parse('runs', row.session_id, row.run_id, () => {
      const { isCancelled, ...run } = parseObject<Run & { isCancelled: boolean }>(row.data);
      const known = { ...run, usage: { ...noUsage, ...run.usage } };
      return { run: reviveDates(known, ['startedAt', 'finishedAt']), isCancelled };
    });

  return {
    run: (sessionId, runId) =>
      query(async () => {
        const row = await db
          .selectFrom('runs')
          .select(['session_id', 'run_id', 'data'])
          .where('run_id', '=', runId)
          .where('session_id', '=', sessionId)
          .executeTakeFirst();
        const known = row && parseRun(row);
        if (row !== undefined && known === undefined)
          throw new CodelabError('INTERNAL', `The run "${runId}" cannot be read. The log has it under the request id.`);
        return known?.run;
      }),

    runningRun: (sessionId) =>
      query(async () => {
        const row = await db
          .selectFrom('runs')
          .select(['session_id', 'run_id', 'data', 'resumes'])
          .where('session_id', '=', sessionId)
          .where('status', '=', 'running')
          .executeTakeFirst();
        const known = row && parseRun(row);
        return known && { ...known, attempts: row.resumes };
      }),

    unfinishedSessions: () =>
      query(async () => {
        const found = await db
          .selectFrom('runs')
          .select('session_id')
          .where('status', '=', 'running')
          .union(db.selectFrom('inputs').select('session_id').where('status', '=', 'queued'))
          .execute();
        return found.map(({ session_id }) => session_id);
      }),
  };
}

export function createRunStatements(db: Kysely<Database>) {
  const upsert = prepare(
    (row: Insertable<Database['runs']>) =>
      db
        .insertInto('runs')
        .values(row)
        .onConflict((c) => c.column('run_id').doUpdateSet(excluded('status', 'resumes', 'data')))
        .compile(),
    (row) => Object.values(row),
  );
  return {
    run({ run, attempts, isCancelled }: StoredRun): Write {
      const row = {
        run_id: run.runId,
        session_id: run.sessionId,
        status: run.status,
        resumes: attempts,
        data: JSON.stringify({ ...run, isCancelled }),
      };
      return [upsert(row)];
    },
  };
}
