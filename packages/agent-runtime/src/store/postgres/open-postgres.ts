import { SettingsError } from '@codelab/service-kit';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { Conflict } from '../commit-queue.ts';
import { DatabaseUnreachable, type OpenDatabase, type OpenDatabaseOptions } from '../database.ts';
import type { Database } from '../schema.ts';

const INT8_OID = 20;
/** A statement of ours takes milliseconds: one that takes longer never comes back. */
const STATEMENT_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 3_000;
const POOL_SIZE = 6;
const RELOCK_MS = 250;
const RELOCK_ATTEMPTS = 40;

/** Parses bigint as a number: none of ours goes beyond 2^53. */
const types = {
  getTypeParser: ((oid: number, format: never) =>
    oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** Opens a pool of connections, and takes the advisory lock on a connection of its own. Throws `SettingsError` where it can't be used. */
export async function openPostgres({ url, log, onTaken }: OpenDatabaseOptions): Promise<OpenDatabase> {
  const connection = {
    connectionString: url,
    types,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'codelab-agent-runtime',
  };
  const pool = new pg.Pool({
    ...connection,
    max: POOL_SIZE,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS,
  });
  pool.on('error', (err) =>
    log.warn({ err: err.message, event: 'database.disconnect' }, 'an idle connection to the database was lost'),
  );
  // A connection that is lost in use rejects its query, too.
  pool.on('connect', (client) => client.on('error', () => {}));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });

  let closed = false;
  let holder: pg.Client | undefined;
  let held = Promise.resolve();
  let schema: string | undefined;

  /** Takes the lock. PostgreSQL releases it when its connection ends. */
  const lock = async (): Promise<void> => {
    const client = new pg.Client(connection);
    client.on('error', () => {});
    try {
      await client.connect();
      const { rows } = await client.query(
        `select pg_try_advisory_lock(hashtext('codelab-agent-runtime'), hashtext(current_schema())) as held, current_schema() as schema`,
      );
      if (rows[0].held !== true) throw new Taken();
      schema = rows[0].schema;
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    holder = client;
    client.once('end', () => {
      holder = undefined;
      if (closed) return;
      log.warn(
        { event: 'database.unlock' },
        'the connection that holds the database lock was lost, taking the lock again',
      );
      held = relock();
    });
  };
  const relock = async (): Promise<void> => {
    // The lock stays taken until PostgreSQL notices the end of our old connection: another process has it only after that.
    for (let taken = 0; !closed; ) {
      try {
        return await lock();
      } catch (error) {
        if (error instanceof Taken && ++taken > RELOCK_ATTEMPTS) onTaken();
        await new Promise((done) => setTimeout(done, RELOCK_MS));
      }
    }
  };

  try {
    await lock();
  } catch (error) {
    await pool.end();
    const shown = url.replace(/\/\/[^@/]*@/, '//…@');
    if (error instanceof Taken)
      throw new SettingsError([
        `AGENT_RUNTIME__DATABASE_URL=${shown}: another agent-runtime has it open: stop that one, or give this one a database of its own`,
      ]);
    const mistake = `AGENT_RUNTIME__DATABASE_URL=${shown}: ${describe(error)}`;
    throw isUnreachable(error) ? new DatabaseUnreachable(mistake, describe(error)) : new SettingsError([mistake]);
  }
  return {
    db,
    schema,
    async transact(statements) {
      await held;
      await db.transaction().execute(async (tx) => {
        for (const statement of statements) {
          const { numAffectedRows } = await tx.executeQuery(statement);
          if (statement.expectRows !== undefined && Number(numAffectedRows) !== statement.expectRows)
            throw new Conflict('another commit came between');
        }
      });
    },
    async close() {
      closed = true;
      await holder?.end().catch(() => {});
      await db.destroy();
    },
  };
}

class Taken extends Error {}

/** True where the server has refused nothing: it is not there, or not yet. */
function isUnreachable(error: unknown): boolean {
  const { code, errors, message } = error as { code?: string; errors?: Array<{ code?: string }>; message?: string };
  const known = code ?? errors?.[0]?.code;
  // 57P03: it is starting, or stopping. pg tells a timeout and a cut connection by their texts alone.
  if (known !== undefined)
    return /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|57P03)$/.test(known);
  return /timeout expired|Connection terminated/i.test(message ?? '');
}

function describe(error: unknown): string {
  const { message, code, errors } = error as { message: string; code?: string; errors?: Error[] };
  return message || errors?.[0]?.message || code || String(error);
}
