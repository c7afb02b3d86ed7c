import { CodelabError } from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import type { Kysely } from 'kysely';
import { isTransient } from './commit-queue.ts';
import type { Database } from './schema.ts';

const RETRY_MS = 3_000;
const RETRY_PAUSE_MS = 100;

/** Reads the tables: queries that outlast a lost connection, and rows that may be broken. */
export interface Reader {
  readonly db: Kysely<Database>;
  /** Runs a query; retries it for 3 s where the connection was lost: the next one is another. Throws `OVERLOADED` after that. */
  query<T>(run: () => Promise<T>): Promise<T>;
  /**
   * Returns what `parse` makes of a row. A row that cannot be parsed (changed by hand, a broken disk) hides no other: it is logged, and
   * undefined is returned.
   */
  parse<T>(table: keyof Database, sessionId: string, id: string, parse: () => T): T | undefined;
}

export function createReader(db: Kysely<Database>, log: Logger): Reader {
  return {
    db,

    async query(run) {
      const until = Date.now() + RETRY_MS;
      for (;;) {
        try {
          return await run();
        } catch (error) {
          if (!isTransient(error)) throw error;
          if (Date.now() > until) throw unavailable(error as Error);
          await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
        }
      }
    },

    parse(table, sessionId, id, parse) {
      try {
        return parse();
      } catch (err) {
        log.error({ err, table, sessionId, id, event: 'row.unreadable' }, `a row of ${table} cannot be read`);
        return undefined;
      }
    },
  };
}

function unavailable(cause: Error): CodelabError {
  return new CodelabError('OVERLOADED', `The database cannot be read now: ${cause.message}. Try again.`, {
    retryAfterMs: 1000,
    cause,
  });
}
