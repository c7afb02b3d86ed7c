// `npm test`: installs and builds what is missing, then runs every test. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { packageCommand } from './commands.mjs';
import { build, install, root } from './setup.mjs';

// Vite takes the path of a module for a URL.
if (/[#%?]/.test(root)) {
  process.stderr.write(`The tests cannot run in a folder with #, % or ? in its path (Vite cannot): ${root}\n`);
  process.exit(1);
}
install();
build();
for (const name of ['TEST_DATABASE_URL', 'TEST_REDIS_URL']) {
  if (!process.env[name]) process.stdout.write(`${name} is not set: tests that need it are skipped.\n`);
}
const { command, args } = packageCommand(root, 'vitest', ['run', ...process.argv.slice(2)]);
const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
if (error !== undefined) process.stderr.write(`The tests could not be started: ${error.message}\n`);
process.exit(status ?? 1);
