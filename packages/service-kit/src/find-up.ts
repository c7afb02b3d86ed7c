import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Stands in the root of the repository, and nowhere else. */
const ROOT_FILE = 'turbo.json';

/** Lists where a file of that name may be, the nearest first: from `from` up to the repository's root; outside of it, up to the top. */
export function pathsUp(name: string, from: string): string[] {
  const paths: string[] = [];
  for (let folder = from; ; folder = dirname(folder)) {
    paths.push(join(folder, name));
    if (existsSync(join(folder, ROOT_FILE)) || dirname(folder) === folder) return paths;
  }
}

/** Returns the nearest file of that name from `from` up to the repository's root; outside of it, up to the top. */
export function findUp(name: string, from: string): string | undefined {
  return pathsUp(name, from).find((path) => existsSync(path));
}

/** Returns the repository's root above `from`, or undefined outside of one. */
export function repositoryRoot(from: string): string | undefined {
  const file = findUp(ROOT_FILE, from);
  return file === undefined ? undefined : dirname(file);
}
