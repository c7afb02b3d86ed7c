import { type FileChange, patchExcess, toFileHunks } from '@codelab/protocol';
import { formatPatch, parsePatch, type StructuredPatch } from 'diff';

/** Parses a unified diff, file by file; returns a text for the model where it is invalid. https://www.gnu.org/software/diffutils/manual/html_node/Detailed-Unified.html */
function parse(patch: unknown): StructuredPatch[] | string {
  if (typeof patch !== 'string') return 'The patch must be text.';
  const excess = patchExcess(patch);
  if (excess !== undefined) return excess;
  try {
    const files = parsePatch(patch).filter(
      ({ hunks, oldFileName, newFileName }) => hunks.length > 0 || oldFileName !== newFileName,
    );
    if (files.length === 0) return 'The patch has no changes: it must be a unified diff with ---, +++ and @@ lines.';
    if (files.some((file) => pathOf(file) === '')) return 'Each file of the patch needs its --- and +++ lines.';
    const moved = files.find((file) => !isNothing(file.oldFileName) && nameOf(file.oldFileName) !== pathOf(file));
    return moved === undefined
      ? files
      : `The patch moves ${pathOf(moved)}: delete the one and create the other instead.`;
  } catch (error) {
    return `The patch is no valid unified diff: ${(error as Error).message}`;
  }
}

/** Returns the changes of a patch; or a text for the model where it is invalid. */
export function changesOf(patch: unknown): FileChange[] | string {
  const files = parse(patch);
  if (typeof files === 'string') return files;
  let first = 0;
  return files.map((file) => {
    const hunks = toFileHunks(file.hunks, first);
    first += hunks.length;
    const change = isNothing(file.oldFileName) ? 'create' : isNothing(file.newFileName) ? 'delete' : 'modify';
    return { path: pathOf(file), change, hunks };
  });
}

/** Returns the patch without some of its hunks; undefined where nothing is left. `hunks` are counted over all files, from 0. */
export function withoutHunks(patch: string, hunks: number[]): string | undefined {
  const files = parse(patch);
  if (typeof files === 'string') return patch;
  const dropped = new Set(hunks);
  let index = 0;
  const kept = files.flatMap((file) => {
    // Lines after a dropped hunk keep their place.
    let moved = 0;
    const left = file.hunks.flatMap((hunk) => {
      if (dropped.has(index++)) {
        moved += hunk.newLines - hunk.oldLines;
        return [];
      }
      return [{ ...hunk, newStart: hunk.newStart - moved }];
    });
    return left.length > 0 ? [{ ...file, hunks: left }] : [];
  });
  return kept.length === 0 ? undefined : formatPatch(kept);
}

function pathOf({ oldFileName, newFileName }: StructuredPatch): string {
  return nameOf(isNothing(newFileName) ? oldFileName : newFileName);
}

function nameOf(name: string | undefined): string {
  return isNothing(name) ? '' : (name as string).replace(/^[ab]\//, '');
}

function isNothing(name: string | undefined): boolean {
  return name === undefined || name === '' || name === '/dev/null';
}
