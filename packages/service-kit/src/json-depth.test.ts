import { expect, it } from 'vitest';
import { jsonDepthExceeds } from './json-depth.ts';

const lists = (depth: number, inner = '') => '['.repeat(depth) + inner + ']'.repeat(depth);
const objects = (depth: number) => '{"a":'.repeat(depth) + 1 + '}'.repeat(depth);

it.each([
  ['lists', lists],
  ['objects', objects],
  ['objects and lists by turns', (depth: number) => (depth === 8 ? lists(4, objects(4)) : lists(5, objects(4)))],
])('%s: as deep as the limit is in, one more is out', (_, make) => {
  expect(jsonDepthExceeds(make(8), 8)).toBe(false);
  expect(jsonDepthExceeds(make(9), 8)).toBe(true);
  expect(jsonDepthExceeds(Buffer.from(make(8)), 8)).toBe(false);
  expect(jsonDepthExceeds(Buffer.from(make(9)), 8)).toBe(true);
});

it('neighbours are not depth', () => {
  expect(jsonDepthExceeds(`[${Array(1000).fill(lists(3)).join()}]`, 4)).toBe(false);
});

it('brackets within strings are text, whatever quotes and backslashes stand there', () => {
  for (const text of ['[[[[[', '\\', '\\"[[[[[', '"', '"[[[[[', '\\\\', 'é[[[[[😀', '\n[[[[['])
    expect(jsonDepthExceeds(JSON.stringify([text, { [text]: [] }]), 3)).toBe(false);
  // A string that ends with a backslash, and then true depth.
  expect(jsonDepthExceeds(`["\\\\",${lists(3)}]`, 3)).toBe(true);
  expect(jsonDepthExceeds(`["\\\\",${lists(2)}]`, 3)).toBe(false);
});

it('what is no JSON is for the parser to refuse', () => {
  for (const text of ['', '"[[[[[', ']]]]]]', 'null', '"\\']) expect(jsonDepthExceeds(text, 2)).toBe(false);
  expect(jsonDepthExceeds('['.repeat(3), 2)).toBe(true);
});

it('no depth is too deep for it', () => {
  expect(jsonDepthExceeds(lists(4_000_000), 512)).toBe(true);
  expect(jsonDepthExceeds(lists(4_000_000), 4_000_000)).toBe(false);
  expect(jsonDepthExceeds(`"${'\\'.repeat(4_000_000)}"`, 512)).toBe(false);
});
