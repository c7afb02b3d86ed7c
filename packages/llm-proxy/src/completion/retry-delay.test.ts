import { CodelabError } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { retryDelay } from './retry-delay.ts';

it('doubles, up to a limit, with a random part', () => {
  const error = new CodelabError('PROVIDER_UNAVAILABLE');
  const delays = (random: number) => [0, 1, 2, 3, 9].map((retries) => retryDelay(error, retries, () => random));
  expect(delays(0)).toEqual([300, 600, 1200, 2400, 5000]);
  expect(delays(0.5)).toEqual([450, 900, 1800, 3600, 7500]);
});

it('waits at least as long as the provider asks, and not at all where that is too long', () => {
  const limited = (retryAfterMs: number) => new CodelabError('PROVIDER_RATE_LIMIT', undefined, { retryAfterMs });
  expect(retryDelay(limited(2000), 0, () => 0)).toBe(2000);
  expect(retryDelay(limited(2000), 0, () => 1)).toBe(2300);
  expect(retryDelay(limited(60_000), 0)).toBeUndefined();
});

it.each(['VALIDATION', 'PROVIDER_AUTH', 'MODEL_NOT_FOUND', 'CONTEXT_WINDOW_EXCEEDED', 'INTERNAL'] as const)(
  '%s is not tried again',
  (code) => {
    expect(retryDelay(new CodelabError(code), 0)).toBeUndefined();
  },
);
