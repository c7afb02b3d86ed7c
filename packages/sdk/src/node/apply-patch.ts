import { patchExcess } from '@codelab/protocol';
import { applyPatch, parsePatch, type StructuredPatch } from 'diff';
import type { Folder } from './folder.ts';

/** Limits the time of a patch. One that fits takes milliseconds; one that does not could take hours. */
const MAX_MS = 300;

/** Applies all of a patch, or none of it. */
export async function applyTo(files: Folder, patch: string): Promise<string> {
  const excess = patchExcess(patch);
  if (excess !== undefined) throw new Error(excess);
  /** The new contents of the files, by their real paths; undefined for a file to delete. */
  const changes = new Map<string, { path: string; content: string | undefined }>();
  for (const file of parsePatch(patch)) {
    const path = pathOf(file.newFileName) ?? pathOf(file.oldFileName);
    if (path === undefined) throw new Error('Each file of the patch needs its --- and +++ lines.');
    const isNew = pathOf(file.oldFileName) === undefined;
    const isGone = pathOf(file.newFileName) === undefined;
    const real = await files.locate(path);
    // A patch may name a file more than once.
    const changed = changes.get(real);
    const isThere = changed === undefined ? !isNew || (await exists(files, path)) : changed.content !== undefined;
    if (isNew && isThere) throw new Error(`"${path}" is there already: patch it, or write_file.`);
    if (!isNew && !isThere) throw new Error(`There is no file "${path}": the patch removes it before.`);
    const before = isNew ? '' : (changed?.content ?? (await files.read(path)));
    const after = applied(before, file, path);
    if (isGone && after !== '')
      throw new Error(
        `The patch removes "${path}", but not all that is in it: give all its lines, or use delete_file.`,
      );
    changes.set(real, { path, content: isGone ? undefined : after });
  }
  if (changes.size === 0) throw new Error('The patch has no changes.');
  for (const { path, content } of changes.values()) {
    if (content !== undefined) await files.write(path, content);
    else if (await exists(files, path)) await files.remove(path);
  }
  return `Changed: ${[...changes.values()].map(({ path }) => path).join(', ')}.`;
}

function applied(before: string, file: StructuredPatch, path: string): string {
  const misfit = `The patch does not fit ${path}: read the file again, and make the patch from what is there now.`;
  const last = before.split('\n').length + 1;
  // Hunks are looked for from the line on that they name, however far beyond the end that is.
  if (file.hunks.some(({ oldStart, oldLines }) => oldLines === 0 && oldStart > last)) throw new Error(misfit);
  const hunks = file.hunks.map((hunk) => ({ ...hunk, oldStart: Math.min(hunk.oldStart, last) }));
  const deadline = performance.now() + MAX_MS;
  const options = {
    fuzzFactor: 0,
    autoConvertLineEndings: true,
    compareLine(_: number, line: string, _operation: string, content: string) {
      if (performance.now() > deadline)
        throw new Error(`It takes too long to find where the hunks belong in ${path}: make the patch smaller.`);
      return line === content;
    },
  };
  const after = applyPatch(before, { ...file, hunks }, options);
  if (after === false) throw new Error(misfit);
  return after;
}

async function exists(files: Folder, path: string): Promise<boolean> {
  return files.read(path).then(
    () => true,
    (error: Error) => !error.message.startsWith('There is no file'),
  );
}

function pathOf(name: string | undefined): string | undefined {
  return name === undefined || name === '' || name === '/dev/null' ? undefined : name.replace(/^[ab]\//, '');
}
