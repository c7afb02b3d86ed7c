import { patchExcess } from '@codelab/protocol';
import { applyPatch, parsePatch, type StructuredPatch } from 'diff';
import type { Folder } from './folder.ts';

/** A patch that fits takes a few milliseconds. What does not can take hours to be sure of that. */
const MAX_MS = 300;

/** Applies all of a patch, or nothing of it. */
export async function applyTo(files: Folder, patch: string): Promise<string> {
  const excess = patchExcess(patch);
  if (excess !== undefined) throw new Error(excess);
  const changes: Array<{ path: string; content: string | undefined }> = [];
  for (const file of parsePatch(patch)) {
    const path = pathOf(file.newFileName) ?? pathOf(file.oldFileName);
    if (path === undefined) throw new Error('Each file of the patch needs its --- and +++ lines.');
    const isNew = pathOf(file.oldFileName) === undefined;
    await files.locate(path);
    const before = isNew ? '' : await files.read(path);
    if (isNew && (await exists(files, path))) throw new Error(`"${path}" is there already: patch it, or write_file.`);
    const after = applied(before, file, path);
    changes.push({ path, content: pathOf(file.newFileName) === undefined ? undefined : after });
  }
  if (changes.length === 0) throw new Error('The patch has no changes.');
  for (const { path, content } of changes) {
    if (content === undefined) await files.remove(path);
    else await files.write(path, content);
  }
  return `Changed: ${changes.map(({ path }) => path).join(', ')}.`;
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
