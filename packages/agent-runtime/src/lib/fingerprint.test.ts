import { expect, it } from 'vitest';
import { fingerprint } from './fingerprint.ts';

it('equal values have one, others have another', () => {
  expect(fingerprint({ a: [1, 'x'] })).toBe(fingerprint({ a: [1, 'x'] }));
  const values = [null, '', 'null', 0, [], {}, [[]], ['a', 'b'], ['ab'], { a: 1 }, { a: '1' }];
  expect(new Set(values.map(fingerprint)).size).toBe(values.length);
});
