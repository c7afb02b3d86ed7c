import { SettingsError } from '@codelab/service-kit';
import { type Kysely, type MigrationResultSet, Migrator } from 'kysely';
import { migrations } from './migrations/index.ts';
import type { Database } from './schema.ts';

function createMigrator(db: Kysely<Database>): Migrator {
  return new Migrator({ db, provider: { getMigrations: async () => migrations } });
}

/** Brings the schema up to date. Returns the names of what was done. Throws `SettingsError` where it is a newer one than ours. */
export async function migrateUp(db: Kysely<Database>): Promise<string[]> {
  const migrator = createMigrator(db);
  const unknown = (await appliedMigrations(db)).filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0) {
    throw new SettingsError([
      `AGENT_RUNTIME__DATABASE_URL: the database was written by a newer version (it has ${unknown.join(', ')}): run that one, or give this one a database of its own`,
    ]);
  }
  return namesOf(await migrator.migrateToLatest());
}

/** Takes the last migration back. */
export async function migrateDown(db: Kysely<Database>): Promise<string[]> {
  return namesOf(await createMigrator(db).migrateDown());
}

async function appliedMigrations(db: Kysely<Database>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === 'kysely_migration')) return [];
  const rows = await (db as unknown as Kysely<{ kysely_migration: { name: string } }>)
    .selectFrom('kysely_migration')
    .select('name')
    .execute();
  return rows.map(({ name }) => name);
}

function namesOf({ error, results }: MigrationResultSet): string[] {
  if (error !== undefined) throw error;
  return (results ?? []).map(({ migrationName }) => migrationName);
}
