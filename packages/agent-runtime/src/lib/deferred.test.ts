import { expect, it } from 'vitest';
import { createDeferred } from './deferred.ts';

it('of two values the first counts', async () => {
  const { promise, resolve } = createDeferred<number>();
  resolve(1);
  resolve(2);
  expect(await promise).toBe(1);
});
