import { expect, it } from 'vitest';
import { createDeferred } from './deferred.ts';
import { createMutex } from './mutex.ts';

it('runs tasks one after the other, in the order of the calls', async () => {
  const mutex = createMutex();
  const first = createDeferred<void>();
  const log: string[] = [];
  const one = mutex(async () => {
    log.push('one begins');
    await first.promise;
    log.push('one ends');
    return 1;
  });
  const two = mutex(async () => {
    log.push('two');
    return 2;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(log).toEqual(['one begins']);
  first.resolve();
  expect(await Promise.all([one, two])).toEqual([1, 2]);
  expect(log).toEqual(['one begins', 'one ends', 'two']);
});

it('a task that fails rejects for its caller, and holds up none', async () => {
  const mutex = createMutex();
  const failing = mutex(() => Promise.reject(new Error('no')));
  const next = mutex(async () => 'next');
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('next');
});
