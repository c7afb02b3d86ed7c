import { SettingsError } from '@codelab/service-kit';
import { type Kysely, type Migration, type MigrationResultSet, Migrator } from 'kysely';
import type { OpenDatabase } from './database.ts';
import { migrations as allMigrations } from './migrations/index.ts';
import type { Database } from './schema.ts';

/** A schema, a table, a column and a catalogue's entry that are gone. https://www.postgresql.org/docs/15/errcodes-appendix.html */
const GONE = ['3F000', '42P01', '42703', 'XX000'];
const ATTEMPTS = 20;
const FOLDER = 'packages/agent-runtime/src/store/migrations';
/** Begins what a migration throws that is as `npm run db:new` made it (scripts/db.mjs). */
const UNWRITTEN = 'Not written yet';

type Opened = Pick<OpenDatabase, 'db' | 'schema'>;
type Migrations = Record<string, Migration>;

/** Says which migration failed, by its file. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  /** True where the migration is still as `npm run db:new` made it. */
  readonly isUnwritten: boolean;

  constructor(migration: string, direction: 'up' | 'down', cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const isUnwritten = why.startsWith(UNWRITTEN);
    const file = `${FOLDER}/${migration}.ts`;
    super(
      isUnwritten
        ? `${file}: its \`${direction}\` is not written yet. Write it (https://kysely.dev/docs/migrations) and try again, or delete the file and its two lines in index.ts.`
        : `${file}: its \`${direction}\` failed: ${why}`,
      { cause },
    );
    this.isUnwritten = isUnwritten;
  }
}

function createMigrator({ db, schema }: Opened, migrations: Migrations): Migrator {
  return new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    ...(schema === undefined ? {} : { migrationTableSchema: schema }),
  });
}

/**
 * Migrates the schema to the newest version. Returns the names of the migrations. Throws `SettingsError` where the schema is newer than this
 * version, and `MigrationError` where a migration fails.
 */
export async function migrateUp(database: Opened, migrations: Migrations = allMigrations): Promise<string[]> {
  const migrator = createMigrator(database, migrations);
  const unknown = (await appliedMigrations(database.db)).filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0) {
    throw new SettingsError([
      `AGENT_RUNTIME__DATABASE_URL: the database was written by a newer version (it has ${unknown.join(', ')}): run that one, or give this one a database of its own`,
    ]);
  }
  for (let attempt = 1; ; attempt++) {
    const result: MigrationResultSet = await migrator.migrateToLatest().catch((error: unknown) => ({ error }));
    if (!lostSight(result) || attempt === ATTEMPTS) return namesOf(result);
  }
}

/** Reverts the last migration. Returns its name. Throws `MigrationError` where it fails. */
export async function migrateDown(database: Opened, migrations: Migrations = allMigrations): Promise<string[]> {
  return namesOf(await createMigrator(database, migrations).migrateDown());
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

/** True where no migration failed: in PostgreSQL the migrator looks at the columns of all schemas, and one of them was dropped meanwhile. */
function lostSight({ error, results }: MigrationResultSet): boolean {
  const { code } = (error ?? {}) as { code?: string };
  return code !== undefined && GONE.includes(code) && results?.some(({ status }) => status === 'Error') !== true;
}

function namesOf({ error, results }: MigrationResultSet): string[] {
  const failed = results?.find(({ status }) => status === 'Error');
  if (failed !== undefined)
    throw new MigrationError(failed.migrationName, failed.direction === 'Up' ? 'up' : 'down', error);
  if (error !== undefined) throw error;
  return (results ?? []).map(({ migrationName }) => migrationName);
}
