import type { FileChange } from './file-change.ts';
import { utf8Length } from './text.ts';

/** Of a preview, as JSON. Bytes. */
export const MAX_CHANGES_BYTES = 256 * 1024;

/** Returns the size of changes as `MAX_CHANGES_BYTES` counts it. */
export function changesBytes(changes: readonly FileChange[]): number {
  return utf8Length(JSON.stringify(changes));
}

/** Returns the hunks of a diff as a person is shown them, numbered from `first`. */
export function toFileHunks(hunks: readonly DiffHunk[], first = 0): FileChange['hunks'] {
  return hunks.map(({ oldStart, oldLines, newStart, newLines, lines }, index) => ({
    hunk: first + index,
    header: `@@ -${placeOf(oldStart, oldLines)} +${placeOf(newStart, newLines)} @@`,
    lines,
  }));
}

/** Of no lines the unified format names the line before. */
function placeOf(start: number, lines: number): string {
  return `${lines === 0 ? start - 1 : start},${lines}`;
}

interface DiffHunk {
  oldStart: number;
  oldLines: number;
  newStart: number;
  newLines: number;
  lines: string[];
}
