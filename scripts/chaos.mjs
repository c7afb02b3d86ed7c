// `npm run chaos`: real processes that die every 2 s and lines that are cut, with clients at every door; on SQLite, and on
// TEST_DATABASE_URL. CHAOS_SEED, CHAOS_SECONDS (180), CHAOS_CLIENTS (50) and CHAOS_KILL_EVERY_MS (2,000) change it.
// Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { packageCommand } from './commands.mjs';
import { build, install, root } from './setup.mjs';

install();
build();
if (!process.env.TEST_DATABASE_URL) process.stdout.write('TEST_DATABASE_URL is not set: on SQLite alone.\n');
const { command, args } = packageCommand(root, 'vitest', ['run', '--project', 'chaos', ...process.argv.slice(2)]);
const env = { ...process.env, CODELAB_TEST_CHAOS: '1' };
const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env });
if (error !== undefined) process.stderr.write(`The tests could not be started: ${error.message}\n`);
process.exit(status ?? 1);
