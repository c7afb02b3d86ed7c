import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Stands in the root of the repository, and nowhere else. */
const ROOT_FILE = 'turbo.json';

/** Returns the nearest file of that name from `from` up to the repository's root; outside of it, up to the top. */
export function findUp(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const file = join(folder, name);
    if (existsSync(file)) return file;
    if (existsSync(join(folder, ROOT_FILE)) || dirname(folder) === folder) return undefined;
  }
}

/** Returns the repository's root above `from`, or undefined outside of one. */
export function repositoryRoot(from: string): string | undefined {
  const file = findUp(ROOT_FILE, from);
  return file === undefined ? undefined : dirname(file);
}
