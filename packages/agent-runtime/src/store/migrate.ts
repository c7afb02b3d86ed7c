import { SettingsError } from '@codelab/service-kit';
import { type Kysely, type MigrationResultSet, Migrator } from 'kysely';
import type { OpenDatabase } from './database.ts';
import { migrations } from './migrations/index.ts';
import type { Database } from './schema.ts';

/** https://www.postgresql.org/docs/15/errcodes-appendix.html */
const INVALID_SCHEMA_NAME = '3F000';
const ATTEMPTS = 20;

type Opened = Pick<OpenDatabase, 'db' | 'schema'>;

function createMigrator({ db, schema }: Opened): Migrator {
  return new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    ...(schema === undefined ? {} : { migrationTableSchema: schema }),
  });
}

/** Migrates the schema to the newest version. Returns the names of the migrations. Throws `SettingsError` where the schema is newer than this version. */
export async function migrateUp(database: Opened): Promise<string[]> {
  const migrator = createMigrator(database);
  const unknown = (await appliedMigrations(database.db)).filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0) {
    throw new SettingsError([
      `AGENT_RUNTIME__DATABASE_URL: the database was written by a newer version (it has ${unknown.join(', ')}): run that one, or give this one a database of its own`,
    ]);
  }
  for (let attempt = 1; ; attempt++) {
    const result = await migrator.migrateToLatest().catch((error: unknown) => ({ error }));
    // In PostgreSQL the migrator looks at all schemas, and one was dropped meanwhile.
    if ((result.error as { code?: unknown } | undefined)?.code !== INVALID_SCHEMA_NAME || attempt === ATTEMPTS)
      return namesOf(result);
  }
}

/** Reverts the last migration. Returns its name. */
export async function migrateDown(database: Opened): Promise<string[]> {
  return namesOf(await createMigrator(database).migrateDown());
}

async function appliedMigrations(db: Kysely<Database>): Promise<string[]> {
  try {
    const rows = await (db as unknown as Kysely<{ kysely_migration: { name: string } }>)
      .selectFrom('kysely_migration')
      .select('name')
      .execute();
    return rows.map(({ name }) => name);
  } catch (error) {
    if (/no such table|does not exist/.test((error as Error).message)) return [];
    throw error;
  }
}

function namesOf({ error, results }: MigrationResultSet): string[] {
  if (error !== undefined) throw error;
  return (results ?? []).map(({ migrationName }) => migrationName);
}
