import { expect, it } from 'vitest';
import { parsePageCursor, parsePlaceCursor, toPageCursor } from './page-cursor.ts';

it.each([0, 1, 42, 2 ** 49])('%d comes back as it was', (index) => {
  expect(parsePageCursor(toPageCursor(index))).toBe(index);
});

it('a place comes back as it was, and is no cursor of one number', () => {
  expect(parsePlaceCursor(toPageCursor(1_795_000_000_000, 7))).toEqual([1_795_000_000_000, 7]);
  expect(() => parsePageCursor(toPageCursor(1, 2))).toThrow(expect.objectContaining({ code: 'VALIDATION' }));
  expect(() => parsePlaceCursor(toPageCursor(1))).toThrow(expect.objectContaining({ code: 'VALIDATION' }));
});

it.each(['', 'rubbish', toPageCursor(-1), toPageCursor(1.5), toPageCursor(Number.NaN), toPageCursor(1e15)])(
  '%j is refused',
  (cursor) => {
    expect(() => parsePageCursor(cursor)).toThrow(expect.objectContaining({ code: 'VALIDATION' }));
  },
);
