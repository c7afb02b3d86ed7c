import { type Kysely, sql } from 'kysely';
import type { Write } from '../commit-queue.ts';
import type { Reader } from '../reader.ts';
import { parseText } from '../row-json.ts';
import type { Database } from '../schema.ts';

export interface ResultQueries {
  /** Returns the whole of a result that was shortened. */
  result(sessionId: string, resultId: string): Promise<string | undefined>;
}

export function createResultQueries({ db, query, parse }: Reader): ResultQueries {
  return {
    result: (sessionId, resultId) =>
      query(async () => {
        const row = await db
          .selectFrom('results')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('result_id', '=', resultId)
          .executeTakeFirst();
        return row && parse('results', sessionId, resultId, () => parseText(row.data));
      }),
  };
}

export function createResultStatements(db: Kysely<Database>) {
  return {
    result(sessionId: string, resultId: string, text: string): Write {
      return [
        db
          .insertInto('results')
          .values({ session_id: sessionId, result_id: resultId, data: JSON.stringify(text) })
          .onConflict((c) => c.columns(['session_id', 'result_id']).doNothing())
          .compile(),
      ];
    },

    /** Copies a session's results to its fork. */
    copyResults(from: string, to: string): Write {
      return [
        sql`insert into results (session_id, result_id, data)
        select ${to}, result_id, data from results where session_id = ${from} on conflict do nothing`.compile(db),
      ];
    },
  };
}
