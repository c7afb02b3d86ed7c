import { createLogger, readVariables, SettingsError } from '@codelab/service-kit';
import { loadDatabaseUrl } from '../env.ts';
import { MigrationError, migrateDown, migrateUp } from '../store/migrate.ts';
import { openDatabase } from '../store/open-database.ts';

/** Runs `npm run db:migrate` and `npm run db:rollback` on the schema of `AGENT_RUNTIME__DATABASE_URL`. */
async function main(command: string | undefined): Promise<void> {
  const url = loadDatabaseUrl(readVariables());
  const log = createLogger({ service: 'agent-runtime', level: 'warn' });
  const database = await openDatabase({ url, log, onTaken: () => process.exit(1) });
  try {
    const done = command === 'rollback' ? await migrateDown(database) : await migrateUp(database);
    process.stdout.write(
      done.length === 0 ? 'Nothing to do.\n' : `${done.map((name) => `${command}: ${name}`).join('\n')}\n`,
    );
  } finally {
    await database.close();
  }
}

function describe(error: unknown): string {
  const isForPerson = error instanceof SettingsError || (error instanceof MigrationError && error.isUnwritten);
  if (isForPerson || !(error instanceof Error)) return isForPerson ? error.message : String(error);
  // Where the migration stands, and not the migrator that called it.
  const cause = error.cause instanceof Error ? error.cause.stack : undefined;
  return cause === undefined ? (error.stack ?? error.message) : `${error.message}\n${cause}`;
}

await main(process.argv[2]).catch((error: unknown) => {
  process.stderr.write(`${describe(error)}\n`);
  process.exitCode = 1;
});
