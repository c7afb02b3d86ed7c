import { createLogger, readVariables, SettingsError } from '@codelab/service-kit';
import { loadDatabaseUrl } from '../env.ts';
import { migrateDown, migrateUp } from '../store/migrate.ts';
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

await main(process.argv[2]).catch((error: unknown) => {
  process.stderr.write(`${error instanceof SettingsError ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exitCode = 1;
});
