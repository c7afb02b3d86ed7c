import { expect, it } from 'vitest';
import { countFitting } from './page.ts';

const sizes = (...bytes: number[]) => bytes.map((each) => ({ bytes: each }));

it.each([
  ['none', [], 10, 100, 0],
  ['all', [10, 10], 10, 100, 2],
  ['as many as the limit', [10, 10, 10], 2, 100, 2],
  ['as many as fit', [10, 10, 10], 10, 20, 2],
  ['one that does not fit alone', [50, 1], 10, 20, 1],
  ['none after one that does not fit', [10, 50, 1], 10, 20, 1],
])('%s', (_, bytes, limit, total, count) => {
  expect(countFitting(sizes(...bytes), limit, total)).toBe(count);
});
