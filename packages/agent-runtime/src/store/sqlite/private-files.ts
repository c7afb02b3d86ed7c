import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';

/** The default folder, which is ours. */
const OWN_FOLDER = '.codelab';
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * Makes the files of an SQLite database, and those beside it, readable for this user only: they hold every conversation. A folder that is created for them is as
 * private; an existing folder keeps its mode, unless it is `.codelab`. Windows has no such modes.
 */
export function makePrivate(path: string): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
  if (basename(folder) === OWN_FOLDER) tighten(folder, FOLDER_MODE);
  // SQLite gives the files that it makes beside a database the database's own mode.
  for (const file of [path, `${path}-lock`]) closeSync(openSync(file, 'a', FILE_MODE));
  for (const file of [path, `${path}-lock`, `${path}-wal`, `${path}-shm`])
    if (existsSync(file)) tighten(file, FILE_MODE);
}

/** Sets the mode. A file of another user keeps its mode. */
function tighten(path: string, mode: number): void {
  try {
    chmodSync(path, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
  }
}
