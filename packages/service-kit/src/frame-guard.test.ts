import { expect, it } from 'vitest';
import { createFrameGuard } from './frame-guard.ts';
import { CLIENT_LIMITS, SERVICE_LIMITS } from './socket-limits.ts';

const limits = { ...CLIENT_LIMITS, burst: 100, perSecond: 10 };

it('takes so many at once and so many more each second, and says when to come again', () => {
  let now = 0;
  const guard = createFrameGuard(limits, () => now);
  for (let i = 0; i < 100; i++) expect(guard.take()).toBeUndefined();
  const refusal = guard.take();
  expect(refusal).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
  expect(refusal?.message).toMatch(/100 at once and 10 a second/);
  // Whoever comes when it was told to is let in.
  now += refusal?.retryAfterMs as number;
  expect(guard.take()).toBeUndefined();
  now += 3_600_000;
  expect(guard.take(100)).toBeUndefined();
  expect(guard.take(1)?.code).toBe('RATE_LIMITED');
});

it('those that were refused together get on together: each time some are let in', () => {
  let now = 0;
  const guard = createFrameGuard(limits, () => now);
  let waiting = 250;
  let rounds = 0;
  while (waiting > 0 && rounds++ < 500) {
    let wait = 0;
    for (let i = waiting; i > 0; i--) {
      const refusal = guard.take();
      if (refusal === undefined) waiting--;
      else wait = Math.max(wait, refusal.retryAfterMs as number);
    }
    expect(guard.isFlooded).toBe(false);
    now += wait;
  }
  expect(waiting).toBe(0);
  expect(rounds).toBeLessThan(50);
});

it('ends what does not stop, and what makes no sense sooner', () => {
  const flood = createFrameGuard(limits, () => 0);
  let refused = 0;
  while (!flood.isFlooded) if (flood.take() !== undefined) refused++;
  expect(refused).toBe(201);
  const nonsense = createFrameGuard(limits, () => 0);
  let count = 0;
  while (!nonsense.isFlooded) {
    nonsense.senseless();
    count++;
  }
  expect(count).toBe(13);
});

it('does not count what our own services send', () => {
  const guard = createFrameGuard(SERVICE_LIMITS);
  for (let i = 0; i < 100_000; i++) {
    expect(guard.take(1000)).toBeUndefined();
    guard.senseless();
  }
  expect(guard.isFlooded).toBe(false);
});
