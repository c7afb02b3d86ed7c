import { CodelabError } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { createAttempts } from './attempts.ts';

const wrong = new CodelabError('UNAUTHORIZED');

function atClock() {
  const clock = { now: 0, slept: [] as number[] };
  const attempts = createAttempts({
    now: () => clock.now,
    sleep: async (ms) => {
      clock.slept.push(ms);
    },
  });
  return { clock, attempts, fail: (address = '10.0.0.1') => attempts.failed(address, wrong) };
}

it('answers the first wrong keys at once, then ever later, then says how long to wait; a second gives one back', async () => {
  const { clock, fail } = atClock();
  for (let i = 0; i < 10; i++) expect(await fail()).toBe(wrong);
  expect(clock.slept).toEqual([]);
  for (let i = 0; i < 90; i++) expect(await fail()).toBe(wrong);
  expect(clock.slept).toEqual(Array.from({ length: 90 }, (_, i) => (i + 1) * 10));
  const over = await fail();
  expect(over).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 1000, message: expect.stringContaining('in 1 s') });
  for (let i = 0; i < 1000; i++) await fail();
  expect(await fail()).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 50_000 });
  expect(Math.max(...clock.slept)).toBe(1000);
  clock.now += 60_000;
  expect(await fail()).toBe(wrong);
  clock.now += 200_000;
  clock.slept = [];
  expect(await fail()).toBe(wrong);
  expect(clock.slept).toEqual([]);
});

it('counts each address by itself, and a network of IPv6 as one', async () => {
  const { fail } = atClock();
  for (let i = 0; i < 150; i++) await fail('2001:db8:1:2::1');
  expect((await fail('2001:db8:1:2:ffff::9')).code).toBe('RATE_LIMITED');
  expect((await fail('2001:db8:1:3::1')).code).toBe('UNAUTHORIZED');
  expect((await fail('::ffff:10.0.0.2')).code).toBe('UNAUTHORIZED');
  expect((await fail('10.0.0.1')).code).toBe('UNAUTHORIZED');
});

it('keeps no more than 512 waiting: the others are told at once', async () => {
  const waits: Array<() => void> = [];
  const attempts = createAttempts({ now: () => 0, sleep: () => new Promise<void>((resolve) => waits.push(resolve)) });
  const answers = Array.from({ length: 700 }, (_, i) => attempts.failed(`10.0.${i % 5}.1`, wrong));
  const last = await answers.at(-1);
  expect(last?.code).toBe('RATE_LIMITED');
  expect(waits).toHaveLength(512);
  for (const resolve of waits) resolve();
  await Promise.all(answers);
});
