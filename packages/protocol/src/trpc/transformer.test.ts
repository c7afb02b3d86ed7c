import superjson, { SuperJSON } from 'superjson';
import { describe, expect, it } from 'vitest';
import { transformer } from './transformer.ts';

const onWire = (value: unknown) => JSON.parse(JSON.stringify(value));
const at = new Date('2026-01-02T03:04:05.678Z');

const values: unknown[] = [
  null,
  true,
  'text',
  0,
  1.5,
  undefined,
  at,
  { type: 'item.delta', text: 'Привет', offset: 3, nested: { list: [1, 'a', null] } },
  { at },
  { list: [new Date(0), { deep: new Date(1) }] },
  { 'a.b': { 'c\\d': new Date(1), '\\.': [new Date(2)], '': new Date(3) }, '': { a: new Date(4) } },
  [undefined, 1, [at]],
];

it.each(values.map((value) => [value]))(
  '%o is written just as superjson writes it, and each reads the other',
  (value) => {
    const wire = onWire(transformer.serialize(value));
    expect(wire).toEqual(onWire(superjson.serialize(value)));
    expect(superjson.deserialize(onWire(wire))).toEqual(value);
    expect(transformer.deserialize(wire)).toEqual(value);
  },
);

it('undefined properties are left out, as JSON leaves them out, whether there is a date beside them or not', () => {
  expect(onWire(transformer.serialize({ a: undefined, b: 1 }))).toEqual({ json: { b: 1 } });
  expect(onWire(transformer.serialize({ a: undefined, at }))).toEqual({
    json: { at: at.toISOString() },
    meta: { values: { at: ['Date'] }, v: 1 },
  });
});

it('what JSON has no form for is written as JSON.stringify does; a bigint and what never ends are refused', () => {
  const odd = {
    at,
    nan: Number.NaN,
    zero: -0,
    set: new Set([1]),
    url: new URL('http://x/'),
    wrong: new Date(Number.NaN),
  };
  expect(transformer.deserialize(onWire(transformer.serialize(odd)))).toEqual({
    at,
    nan: null,
    zero: 0,
    set: {},
    url: 'http://x/',
    wrong: null,
  });
  expect(() => transformer.serialize({ a: [10n] })).toThrow(/bigint, and "a\.0"/);
  const round: { self?: unknown } = {};
  round.self = round;
  expect(() => transformer.serialize(round)).toThrow(expect.objectContaining({ code: 'VALIDATION' }));
});

it('does not walk plain values twice, and copies nothing of them', () => {
  const value = { type: 'item.delta', text: 'x' };
  expect(transformer.serialize(value).json).toBe(value);
  const page = { items: [{ createdAt: at, toolCall: value }] };
  expect((transformer.serialize(page).json as { items: [{ toolCall: unknown }] }).items[0].toolCall).toBe(value);
});

it.each(['constructor', 'prototype', '__proto__', 'toString', 'hasOwnProperty', 'then', ''])(
  'a key %j is a key like any other: with a date in it, beside it, above it',
  (key) => {
    const date = at.toISOString();
    const text = `{"${key}":"a","b":{"${key}":{"${key}":[1]}}}`;
    expect(JSON.stringify(transformer.deserialize(onWire(transformer.serialize(JSON.parse(text)))))).toBe(text);

    const beside = { at, data: JSON.parse(text) };
    const read = transformer.deserialize(onWire(transformer.serialize(beside)));
    expect([read.at, JSON.stringify(read.data)]).toEqual([at, text]);
    // superjson drops `__proto__` when it reads, and loses nothing else.
    expect((superjson.deserialize(onWire(transformer.serialize(beside))) as typeof beside).at).toEqual(at);

    const path = key === '' ? 'x.' : `x.${key}`;
    const within = transformer.deserialize(
      JSON.parse(`{"json":{"x":{"${key}":"${date}"}},"meta":{"values":{"${path}":["Date"]},"v":1}}`),
    );
    expect(Object.getOwnPropertyDescriptor(within.x, key)?.value).toEqual(at);
    expect(Object.getPrototypeOf(within.x)).toBe(Object.prototype);
    const back = transformer.deserialize(onWire(transformer.serialize(within)));
    expect(Object.getOwnPropertyDescriptor(back.x, key)?.value).toEqual(at);
  },
);

it('equal objects, which superjson notes, are taken where they stand in full, and refused where they are left out', () => {
  const shared = { a: 1, at };
  const value = { x: shared, y: [shared, shared], z: at };
  const wire = onWire(superjson.serialize(value));
  expect(wire.meta.referentialEqualities).toBeDefined();
  expect(transformer.deserialize(wire)).toEqual(value);
  const deduped = onWire(new SuperJSON({ dedupe: true }).serialize(value));
  expect(() => transformer.deserialize(deduped)).toThrow(/dedupe/);
  const round: { self?: unknown } = {};
  round.self = round;
  expect(() => transformer.deserialize(onWire(superjson.serialize(round)))).toThrow(/dedupe/);
});

it('reads the paths of superjson 1, which had no version and escaped no backslash', () => {
  const read = transformer.deserialize({
    json: { 'a\\b': at.toISOString(), 'c.d': at.toISOString() },
    meta: { values: { 'a\\b': ['Date'], 'c\\.d': ['Date'] } },
  });
  expect(read).toEqual({ 'a\\b': at, 'c.d': at });
});

describe('what builds something is refused before anything is built', () => {
  class Own {}
  const own = new SuperJSON();
  own.registerClass(Own);
  own.registerSymbol(Symbol.for('s'), 's');
  own.registerCustom<number, string>(
    { isApplicable: (v): v is number => v === 42, serialize: String, deserialize: Number },
    'n',
  );
  it.each([
    ['bigint', 10n],
    ['number', Number.POSITIVE_INFINITY],
    ['set', new Set([1])],
    ['map', new Map([['a', 1]])],
    ['regexp', /x/],
    ['URL', new URL('http://x')],
    ['Error', new Error('x')],
    ['typed-array', new Uint8Array(3)],
    ['class', new Own()],
    ['symbol', Symbol.for('s')],
    ['custom', 42],
  ])('%s', (_, value) => {
    for (const whole of [value, { a: value }, { a: [{ b: value }] }])
      expect(() => transformer.deserialize(onWire(own.serialize(whole)))).toThrow(
        expect.objectContaining({ code: 'VALIDATION', message: expect.stringMatching(/Only Date and undefined/) }),
      );
  });

  const many = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`a.${i}`, ['undefined']]));
  it.each([
    ['a thousand arrays of a gigabyte', { json: { a: [] }, meta: { values: { a: [['typed-array', 'Uint8Array']] } } }],
    ['too many notes', { json: { a: Array.from({ length: 10_001 }, () => null) }, meta: { values: many } }],
    [
      'too many equalities',
      { json: { a: {} }, meta: { referentialEqualities: { a: Array.from({ length: 10_001 }, () => 'a') } } },
    ],
    ['a long path', { json: {}, meta: { values: { [`${'a.'.repeat(600)}a`]: ['Date'] } } }],
    ['a path to nowhere', { json: {}, meta: { values: { a: ['undefined'] } } }],
    ['a path into what is inherited', { json: {}, meta: { values: { '__proto__.a': ['undefined'] } } }],
    ['a path to what is inherited', { json: {}, meta: { values: { toString: ['undefined'] } } }],
    ['the length of a list', { json: { a: [1] }, meta: { values: { 'a.length': ['undefined'] } } }],
    ['a path into text', { json: { a: 'x' }, meta: { values: { 'a.0': ['Date'] } } }],
    ['a date that is none', { json: { a: 'soon' }, meta: { values: { a: ['Date'] } } }],
    ['a date of a number', { json: { a: 1e300 }, meta: { values: { a: ['Date'] } } }],
    ['an undefined that is something', { json: { a: 1 }, meta: { values: { a: ['undefined'] } } }],
    ['a note that is no list', { json: { a: 1 }, meta: { values: { a: 'Date' } } }],
    ['notes that are no object', { json: { a: 1 }, meta: { values: 7 } }],
    ['a meta that is no object', { json: { a: 1 }, meta: 7 }],
    ['equalities that are none', { json: { a: 1 }, meta: { referentialEqualities: 7 } }],
    ['equalities of no paths', { json: { a: 1 }, meta: { referentialEqualities: { a: [7] } } }],
    ['nested notes', { json: { a: [] }, meta: { values: { a: ['set', { 0: ['Date'] }] } } }],
  ])('%s', (_, wire) => {
    expect(() => transformer.deserialize(wire as never)).toThrow(expect.objectContaining({ code: 'VALIDATION' }));
    expect(({} as { a?: unknown }).a).toBeUndefined();
    expect(Object.prototype.toString).toBeInstanceOf(Function);
  });
});

it.each([undefined, null, 7, 'x'])('takes a wire value that is no envelope (%j) as nothing', (wire) => {
  expect(transformer.deserialize(wire as never)).toBeUndefined();
});
