import { expect, it } from 'vitest';
import { wholePart } from './whole-part.ts';

it.each([
  ['abc', 0, 2, 'ab'],
  ['abc', 1, undefined, 'bc'],
  ['abc', 0, 99, 'abc'],
  ['a🎈b', 0, 2, 'a🎈'],
  ['a🎈b', 2, undefined, '🎈b'],
  ['a🎈b', 2, 2, '🎈'],
  ['a🎈b', 1, 3, '🎈'],
  ['', 0, 0, ''],
])('of %j from %s to %s: %j', (text, from, to, part) => {
  expect(wholePart(text, from, to)).toBe(part);
});

it('parts that follow each other have no half of a character', () => {
  const text = 'x🎈🎈y🎈';
  for (let at = 0; at <= text.length; at++) {
    expect(wholePart(text, 0, at).isWellFormed()).toBe(true);
    expect(wholePart(text, at).isWellFormed()).toBe(true);
  }
});
