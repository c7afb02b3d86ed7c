import { resolve } from 'node:path';
import { type Logger, SettingsError } from '@codelab/service-kit';
import { Kysely, PostgresDialect, SqliteDialect } from 'kysely';
import Sqlite from 'libsql';
import pg from 'pg';
import { Conflict, type Statement } from './commit-queue.ts';
import { makePrivate } from './private-files.ts';
import type { Database } from './schema.ts';
import { type SqliteThread, startSqliteThread } from './sqlite-thread.ts';

const INT8_OID = 20;
/** A statement of ours takes milliseconds: one that takes longer never comes back. */
const STATEMENT_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 3_000;
const POOL_SIZE = 6;
const RELOCK_MS = 250;

export interface OpenDatabase {
  /** For reading, and for migrations. */
  db: Kysely<Database>;
  /** Where its tables are; undefined in SQLite. */
  schema: string | undefined;
  /** Makes all of these changes durable, or none. */
  transact(statements: Statement[]): Promise<void>;
  close(): Promise<void>;
}

export interface OpenDatabaseOptions {
  /** `file:<path>` or `postgres://…`. */
  url: string;
  log: Logger;
  /** Another process has taken the database over while the connection was lost. */
  onTaken: () => void;
}

/** Opens the database and takes its lock. Throws `SettingsError` where it can't be used. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  return options.url.startsWith('file:') ? openSqlite(options.url) : openPostgres(options);
}

function openSqlite(url: string): OpenDatabase {
  const path = resolve(url.slice('file:'.length));
  try {
    makePrivate(path);
    const unlock = lockFile(`${path}-lock`);
    try {
      const database = new Sqlite(path, { timeout: 1000 });
      database.exec('pragma journal_mode = wal');
      database.exec('pragma synchronous = full');
      const db = new Kysely<Database>({ dialect: new SqliteDialect({ database: database as never }) });
      let writer: SqliteThread | undefined;
      return {
        db,
        schema: undefined,
        transact(statements) {
          writer ??= startSqliteThread(path);
          return writer.transact(statements);
        },
        async close() {
          await writer?.close();
          // Then the one file is all there is, for whoever copies it.
          if (database.open) database.exec('pragma wal_checkpoint(truncate)');
          await db.destroy();
          unlock();
        },
      };
    } catch (error) {
      unlock();
      throw error;
    }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const why = /BUSY|LOCKED/.test(code ?? '')
      ? 'another process has it open: stop that one, or give this one a file of its own'
      : /NOTADB|CORRUPT/.test(code ?? '')
        ? 'it is not an SQLite database, or a broken one'
        : message;
    throw new SettingsError([`AGENT_RUNTIME__DATABASE_URL=${url}: ${why}`]);
  }
}

/** A lock that goes with the process, however that ends: an open transaction on a file beside the database. Throws `SQLITE_BUSY`. */
function lockFile(path: string): () => void {
  const lock = new Sqlite(path, { timeout: 0 });
  lock.exec('begin exclusive');
  let isHeld = true;
  return () => {
    if (!isHeld) return;
    isHeld = false;
    lock.exec('rollback');
    lock.close();
  };
}

/** bigint comes as a number: none of ours goes beyond 2^53. */
const types = {
  getTypeParser: ((oid: number, format: never) =>
    oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

async function openPostgres({ url, log, onTaken }: OpenDatabaseOptions): Promise<OpenDatabase> {
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
  pool.on('error', (err) => log.warn({ err: err.message }, 'a connection to the database was lost'));
  // One that is lost while it is used says so to whoever uses it.
  pool.on('connect', (client) => client.on('error', () => {}));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });

  let closed = false;
  let holder: pg.Client | undefined;
  let held = Promise.resolve();
  let schema: string | undefined;

  /** The lock belongs to a connection, and is let go when that ends. */
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
      log.warn('the connection that holds the lock of the database was lost');
      held = relock();
    });
  };
  const relock = async (): Promise<void> => {
    // What another process does not take within a connection's life of a lost one is ours again.
    for (let taken = 0; !closed; ) {
      try {
        return await lock();
      } catch (error) {
        if (error instanceof Taken && ++taken > 40) onTaken();
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
    throw new SettingsError([`AGENT_RUNTIME__DATABASE_URL=${shown}: ${describe(error)}`]);
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

function describe(error: unknown): string {
  const { message, code, errors } = error as { message: string; code?: string; errors?: Error[] };
  return message || errors?.[0]?.message || code || String(error);
}
