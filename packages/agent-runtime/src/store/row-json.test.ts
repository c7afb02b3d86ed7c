import { expect, it } from 'vitest';
import { parseList, parseObject, parseText, reviveDates } from './row-json.ts';

it.each(['', '{', 'null', '[]', '"x"', '1'])('%j is no object', (json) => {
  expect(() => parseObject(json)).toThrow();
});
it.each(['', '{}', 'null', '"x"'])('%j is no list', (json) => {
  expect(() => parseList(json)).toThrow();
});
it.each(['', '{}', 'null', '[]', '1'])('%j is no text', (json) => {
  expect(() => parseText(json)).toThrow();
});

it('makes dates of the named fields, and of no others', () => {
  const value = { createdAt: '1970-01-01T00:00:00.001Z', text: '1970-01-01', deadline: undefined };
  expect(reviveDates<object>(value, ['createdAt', 'deadline'] as never)).toEqual({
    createdAt: new Date(1),
    text: '1970-01-01',
    deadline: undefined,
  });
});

it.each([[{}], [{ createdAt: 'x' }], [{ createdAt: null, deadline: 'x' }]])('%j has no such dates', (value) => {
  expect(() => reviveDates<object>(value, ['createdAt', 'deadline'] as never)).toThrow('is no date');
});
