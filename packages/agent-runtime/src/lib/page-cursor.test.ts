import { expect, it } from 'vitest';
import { parsePageCursor, toPageCursor } from './page-cursor.ts';

it.each([0, 1, 42, 2 ** 49])('%d comes back as it was', (index) => {
  expect(parsePageCursor(toPageCursor(index))).toBe(index);
});

it.each(['', 'rubbish', toPageCursor(-1), toPageCursor(1.5), toPageCursor(Number.NaN), toPageCursor(1e15)])(
  '%j is refused',
  (cursor) => {
    expect(() => parsePageCursor(cursor)).toThrow(expect.objectContaining({ code: 'VALIDATION' }));
  },
);
