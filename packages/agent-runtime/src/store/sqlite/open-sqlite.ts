import { resolve } from 'node:path';
import { SettingsError } from '@codelab/service-kit';
import { Kysely, SqliteDialect } from 'kysely';
import Sqlite from 'libsql';
import type { OpenDatabase } from '../database.ts';
import type { Database } from '../schema.ts';
import { makePrivate } from './private-files.ts';
import { type SqliteThread, startSqliteThread } from './sqlite-thread.ts';

/** Opens an SQLite file, with a thread that writes it. Throws `SettingsError` where it can't be used. */
export function openSqlite(url: string): OpenDatabase {
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
          // Afterwards the database is one file, which can be copied.
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

/** Takes a lock that ends with the process, however that ends: an open transaction on a file beside the database. Throws `SQLITE_BUSY`. */
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
