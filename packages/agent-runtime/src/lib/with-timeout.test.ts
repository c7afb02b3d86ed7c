import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { withTimeout } from './with-timeout.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('resolves and rejects as the promise does, and leaves no timer behind', async () => {
  expect(await withTimeout(1_000, Promise.resolve('x'))).toBe('x');
  await expect(withTimeout(1_000, Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(vi.getTimerCount()).toBe(0);
});

it('resolves to undefined once the time is over', async () => {
  const waiting = withTimeout(1_000, new Promise<string>(() => {}));
  await vi.advanceTimersByTimeAsync(999);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(await waiting).toBeUndefined();
});
