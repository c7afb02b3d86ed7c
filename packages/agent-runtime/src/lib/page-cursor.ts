import { CodelabError } from '@codelab/protocol';

/** Makes the opaque cursor of a list. */
export function toPageCursor(index: number): string {
  return Buffer.from(`i${index}`).toString('base64url');
}

/** Parses a cursor of `toPageCursor`. Throws `VALIDATION`. */
export function parsePageCursor(cursor: string): number {
  const [, digits] = /^i(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (digits === undefined)
    throw new CodelabError('VALIDATION', 'The cursor is not one of ours: pass a nextCursor as it came.');
  return Number(digits);
}
