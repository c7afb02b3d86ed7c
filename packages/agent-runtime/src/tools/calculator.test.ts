import { expect, it } from 'vitest';
import { calculate } from './calculator.ts';

it.each([
  ['1 + 2 * 3', 7],
  ['(1 + 2) * 3', 9],
  ['2 ^ 3 ^ 2', 512],
  ['2 ** 10', 1024],
  ['-2 ^ 2', -4],
  ['10 % 4 - -1', 3],
  ['sqrt(16) + max(1, 2, 3)', 7],
  ['.5e1 * 2', 10],
  ['round(PI * 100) / 100', 3.14],
])('%s is %d', (expression, value) => {
  expect(calculate(expression)).toBeCloseTo(value, 12);
});

it.each([
  ['1 +', 'the end'],
  ['2 3', 'operator'],
  ['(1', '")" is missing'],
  ['process.exit()', '"' + '.exit'],
  ['constructor(1)', 'A number was expected'],
  ['0 / 0', 'no value'],
  [`${'('.repeat(500)}1${')'.repeat(500)}`, 'nested too deeply'],
])('%s is refused, and the model is told why', (expression, why) => {
  expect(() => calculate(expression)).toThrow(why);
});
