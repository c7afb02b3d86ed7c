import superjson from 'superjson';
import { expect, it } from 'vitest';
import { transformer } from './transformer.ts';

const values: unknown[] = [
  null,
  true,
  'text',
  0,
  1.5,
  { type: 'item.delta', text: 'Привет', offset: 3, nested: { list: [1, 'a', null] } },
  { at: new Date('2026-01-02T03:04:05Z') },
  { list: [new Date(0), { deep: new Date(1) }] },
  new Map([['a', 1]]),
  [undefined, 1],
  10n,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -0,
];

it.each(values.map((value) => [value]))('%o survives, and superjson itself reads and writes the same wire', (value) => {
  const wire = JSON.parse(JSON.stringify(transformer.serialize(value)));
  expect(transformer.deserialize(wire)).toEqual(value);
  expect(superjson.deserialize(wire)).toEqual(value);
  expect(transformer.deserialize(JSON.parse(JSON.stringify(superjson.serialize(value))))).toEqual(value);
});

it('does not walk plain values twice', () => {
  const value = { type: 'item.delta', text: 'x' };
  expect(transformer.serialize(value).json).toBe(value);
});

it.each([undefined, null, 7, 'x'])('takes a wire value that is no envelope (%j) as nothing', (wire) => {
  expect(transformer.deserialize(wire as never)).toBeUndefined();
});
