// `npm test` in the folder of a package: its unit tests, or those that are named from there. Options go to vitest.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { packageCommand } from './commands.mjs';
import { install, root } from './setup.mjs';

install();
/** @param {string} path */
const fromRoot = (path) => relative(root, resolve(path)).replaceAll('\\', '/');
const args = process.argv.slice(2);
const isFile = (/** @type {string} */ arg) => !arg.startsWith('-') && existsSync(arg);
const options = args.filter((arg) => !isFile(arg));
const files = args.filter(isFile).map(fromRoot);
const chosen = files.length > 0 ? files : [`${fromRoot('.')}/`];
// As of the root's `npm test`.
const env = { ...process.env, ...(files.length > 0 ? {} : { CODELAB_TEST_SET: 'fast' }) };
const { command, args: all } = packageCommand(root, 'vitest', ['run', '--project', 'unit', ...chosen, ...options]);
const { status, error } = spawnSync(command, all, { cwd: root, stdio: 'inherit', env });
if (error !== undefined) process.stderr.write(`The tests could not be started: ${error.message}\n`);
process.exit(status ?? 1);
