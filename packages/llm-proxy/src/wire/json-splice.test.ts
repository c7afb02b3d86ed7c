import { expect, it } from 'vitest';
import { spliceJson } from './json-splice.ts';

const edit = (text: string, values: Record<string, string>) => spliceJson(Buffer.from(text), values).toString('utf8');

it.each([
  ['{"model":"a","x":1}', '{"model":"b","x":1}'],
  ['{ "x" : [1, {"model":"no"}, "}"] , "model" : "a" }', '{ "x" : [1, {"model":"no"}, "}"] , "model" : "b" }'],
  [
    '{"messages":[{"content":"\\"model\\":\\"a\\" \\\\"}],"model":null}',
    '{"messages":[{"content":"\\"model\\":\\"a\\" \\\\"}],"model":"b"}',
  ],
  ['{"mo\\u0064el":"a"}', '{"mo\\u0064el":"b"}'],
  ['{"model":"a","model":"c"}', '{"model":"b","model":"b"}'],
  ['{"model":12.5e3}', '{"model":"b"}'],
  ['\n {\n"model": {"a": ["}"]}\n}\n', '\n {\n"model": "b"\n}\n'],
  ['{"x":"привет 😀","model":"ы"}', '{"x":"привет 😀","model":"b"}'],
])('%s', (before, after) => {
  expect(edit(before, { model: '"b"' })).toBe(after);
});

it('adds what is missing in front, and leaves every other byte', () => {
  expect(edit('{"big": 1.000000000000000001 }', { s: '{"a":1}', t: 'true' })).toBe(
    '{"s":{"a":1},"t":true,"big": 1.000000000000000001 }',
  );
  expect(edit('{ }', { s: '1' })).toBe('{"s":1 }');
});
