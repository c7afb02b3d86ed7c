import { CodelabError } from '@codelab/protocol';

/** Makes the opaque cursor of a list. */
export function toPageCursor(...numbers: number[]): string {
  return Buffer.from(`i${numbers.join('.')}`).toString('base64url');
}

/** Parses a cursor of one number. Throws `VALIDATION`. */
export function parsePageCursor(cursor: string): number {
  return parseNumbers(cursor, 1)[0] as number;
}

/** Parses a cursor of two numbers. Throws `VALIDATION`. */
export function parsePlaceCursor(cursor: string): [number, number] {
  return parseNumbers(cursor, 2) as [number, number];
}

function parseNumbers(cursor: string, count: number): number[] {
  const [, digits] = /^i(\d{1,15}(?:\.\d{1,15})*)$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  const numbers = digits?.split('.').map(Number);
  if (numbers?.length !== count)
    throw new CodelabError('VALIDATION', 'The cursor is not one of ours: pass a nextCursor as it came.');
  return numbers;
}
