import { DatabaseUnreachable, type OpenDatabase, type OpenDatabaseOptions } from './database.ts';
import { openPostgres } from './postgres/open-postgres.ts';
import { openSqlite } from './sqlite/open-sqlite.ts';

const RETRY_MS = 1_000;

/**
 * Opens the database and takes its lock. Waits for a server that is not there yet.
 * Throws `SettingsError` where it can't be used.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  const { url, log, waitMs = 0, retryMs = RETRY_MS } = options;
  if (url.startsWith('file:')) return openSqlite(url);
  const until = Date.now() + waitMs;
  for (let tries = 1; ; tries++) {
    try {
      const database = await openPostgres(options);
      if (tries > 1) log.info({ tries, event: 'database.reached' }, 'the database is reached');
      return database;
    } catch (error) {
      const leftMs = until - Date.now();
      if (!(error instanceof DatabaseUnreachable) || leftMs <= 0) throw error;
      const fields = { reason: error.reason, leftMs, event: 'database.wait' };
      log.warn(fields, 'the database cannot be reached yet, trying again');
      await new Promise((resolve) => setTimeout(resolve, Math.min(retryMs, leftMs)));
    }
  }
}
