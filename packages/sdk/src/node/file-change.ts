import { toFileHunks } from '@codelab/protocol';
import { structuredPatch } from 'diff';
import type { FileChange } from '../types.ts';

/** Limits the time of one diff: of two long texts with little in common it could take minutes. */
const MAX_MS = 300;

/**
 * Returns the change that turns one text of a file into another, with three lines around each hunk. `undefined`: there is no such file, before or after.
 * Hunks are left out, and that is said, of what is no text (`binary`), and where the texts are too long and too different (`too_large`).
 */
export function fileChange(path: string, before: string | undefined, after: string | undefined): FileChange {
  const change = before === undefined ? 'create' : after === undefined ? 'delete' : 'modify';
  const [old = '', next = ''] = [before, after].map((text) => text?.toWellFormed());
  if (old.includes('\0') || next.includes('\0')) return { path, change, hunks: [], omitted: 'binary' };
  const diff = structuredPatch(path, path, old, next, undefined, undefined, { context: 3, timeout: MAX_MS });
  return diff === undefined
    ? { path, change, hunks: [], omitted: 'too_large' }
    : { path, change, hunks: toFileHunks(diff.hunks) };
}
