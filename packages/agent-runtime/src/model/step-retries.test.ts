import { CodelabError, toWireError } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { createStepRetries } from './step-retries.ts';

const lost = toWireError(new CodelabError('PROVIDER_STREAM_LOST'), '');
const lostByProxy = toWireError(
  new CodelabError('PROVIDER_STREAM_LOST', undefined, { details: { lostBy: 'llm-proxy' } }),
  '',
);
const away = toWireError(new CodelabError('OVERLOADED'), '');
const unavailable = toWireError(new CodelabError('PROVIDER_UNAVAILABLE', undefined, { retryAfterMs: 5_000 }), '');

/** How many attempts are made where each ends like this. */
function attempts(limit: number, ends: Array<[typeof lost, number]>): number {
  const retries = createStepRetries(limit);
  const made = ends.findIndex(([error, length]) => retries.next(error, length) === undefined);
  return made === -1 ? ends.length : made;
}
const repeat = (count: number, error: typeof lost, length: number) =>
  Array.from({ length: count }, (): [typeof lost, number] => [error, length]);

it('an answer that always breaks off at the same place is asked for a few times', () => {
  expect(attempts(3, repeat(50, lost, 100))).toBe(4);
  expect(attempts(3, repeat(50, lost, 0))).toBe(3);
});

it('an attempt that gets on does not count', () => {
  expect(
    attempts(1, [...repeat(1, lost, 10), ...repeat(1, lost, 20), ...repeat(1, lost, 30), ...repeat(9, lost, 30)]),
  ).toBe(4);
});

it("llm-proxy's own restarts do not count where something had come, but have an end", () => {
  expect(attempts(3, repeat(50, lostByProxy, 10))).toBe(50);
  expect(attempts(3, repeat(500, lostByProxy, 10))).toBeLessThanOrEqual(100);
  expect(attempts(3, repeat(50, lostByProxy, 0))).toBe(3);
});

it('a service that is away is waited for 30 s', () => {
  let now = 0;
  const retries = createStepRetries(3, () => now);
  expect(retries.next(away, 0)).toBeGreaterThan(0);
  now = 29_000;
  expect(retries.next(away, 0)).toBeGreaterThan(0);
  now = 30_000;
  expect(retries.next(away, 0)).toBeUndefined();
});

it('other failures are ends, but for a provider that is away in the middle of an answer', () => {
  const refused = toWireError(new CodelabError('VALIDATION'), '');
  expect(attempts(3, repeat(5, refused, 0))).toBe(0);
  expect(attempts(3, repeat(5, unavailable, 0))).toBe(0);
  const retries = createStepRetries(3);
  retries.next(lost, 10);
  expect(retries.next(unavailable, 0)).toBe(5_000);
});

it('0 turns it off', () => {
  expect(attempts(0, repeat(5, lost, 10))).toBe(0);
});
