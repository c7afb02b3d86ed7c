import type { OpenDatabase, OpenDatabaseOptions } from './database.ts';
import { openPostgres } from './postgres/open-postgres.ts';
import { openSqlite } from './sqlite/open-sqlite.ts';

/** Opens the database and takes its lock. Throws `SettingsError` where it can't be used. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  return options.url.startsWith('file:') ? openSqlite(options.url) : openPostgres(options);
}
