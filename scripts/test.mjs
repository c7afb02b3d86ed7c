// `npm test`: installs what is missing, then runs the tests but the long ones. `npm run test:all` runs all of them.
// Arguments go to vitest, which then knows all tests: `npm test -- tests/process/dev.test.ts`.
import { spawnSync } from 'node:child_process';
import { packageCommand } from './commands.mjs';
import { build, install, root } from './setup.mjs';

/** Of `npm run chaos` without its length: what CI has the time for. */
const CHAOS_SECONDS = '15';

// Vite takes the path of a module for a URL.
if (/[#%?]/.test(root)) {
  process.stderr.write(`The tests cannot run in a folder with #, % or ? in its path (Vite cannot): ${root}\n`);
  process.exit(1);
}
const isAll = process.argv.includes('--all');
const chosen = process.argv.slice(2).filter((arg) => arg !== '--all');
const isFast = !isAll && chosen.length === 0;
install();
// The fast ones run the sources.
if (!isFast) build();
for (const name of ['TEST_DATABASE_URL', 'TEST_REDIS_URL']) {
  if (!process.env[name]) process.stdout.write(`${name} is not set: tests that need it are skipped.\n`);
}
const env = {
  ...process.env,
  ...(isFast ? { CODELAB_TEST_SET: 'fast' } : {}),
  ...(isAll ? { CODELAB_TEST_CHAOS: '1', CHAOS_SECONDS: process.env.CHAOS_SECONDS ?? CHAOS_SECONDS } : {}),
};
const { command, args } = packageCommand(root, 'vitest', ['run', ...chosen]);
const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env });
if (error !== undefined) process.stderr.write(`The tests could not be started: ${error.message}\n`);
else if (isFast) process.stdout.write('The long tests were left out: npm run test:all runs them, too.\n');
process.exit(status ?? 1);
