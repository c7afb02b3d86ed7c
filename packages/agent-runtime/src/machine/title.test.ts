import { expect, it } from 'vitest';
import { titleOf } from './title.ts';

it.each([
  ['Fix the build', 'Fix the build'],
  ['  two\n\nlines\t here ', 'two lines here'],
  [
    'Please find out why the checkout fails for customers who pay by invoice',
    'Please find out why the checkout fails for customers who…',
  ],
  [
    'The first sentence has just the right length for a good title. And more',
    'The first sentence has just the right length for a good…',
  ],
  ['x'.repeat(100), `${'x'.repeat(59)}…`],
  [`${'x'.repeat(58)}🎈 and more`, `${'x'.repeat(58)}…`],
  ['', ''],
])('%j is %j', (message, title) => {
  expect(titleOf(message)).toBe(title);
});
