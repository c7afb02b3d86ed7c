import { createLogger } from '@codelab/service-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { createMemoryCounters } from './memory-counters.ts';
import { type CounterStore, type KeyLimits, refusalOf, STREAM_LEASE_MS } from './quota.ts';
import { createRedisCounters } from './redis-counters.ts';

const log = createLogger({ service: 'test', level: 'silent' });
const MINUTE = 60_000;
/** The beginning of a minute, far enough ahead that no test of another run counts on the same names. */
const start = Math.ceil((Date.now() + 3_600_000) / MINUTE) * MINUTE;
const url = process.env.TEST_REDIS_URL;

const stores = {
  memory: { isThere: true, create: createMemoryCounters },
  Redis: {
    isThere: url !== undefined,
    create: () =>
      createRedisCounters({
        url: url ?? '',
        fallback: createMemoryCounters(),
        log,
        prefix: `test:${process.pid}:${Math.random()}`,
      }),
  },
};

for (const [name, { isThere, create }] of Object.entries(stores))
  describe.skipIf(!isThere)(`counters in ${name}`, () => {
    let store: CounterStore;
    afterEach(() => store.close());

    it('count requests and tokens of this minute and of the one before', async () => {
      store = create();
      await store.enter('k', 'a', start);
      await store.enter('k', 'b', start + 1);
      await store.leave('k', 'a', { tokens: 10, microUsd: 5 }, start + 2);
      expect(await store.enter('k', 'c', start + MINUTE)).toEqual({
        requests: [2, 1],
        tokens: [10, 0],
        streams: 2,
        dayMicroUsd: 5,
        monthMicroUsd: 5,
      });
      expect((await store.read('k', start + 3 * MINUTE)).requests).toEqual([0, 0]);
      expect((await store.read('other', start)).requests).toEqual([0, 0]);
    });

    it('a request that was refused does not count', async () => {
      store = create();
      await store.enter('k', 'a', start);
      await store.takeBack('k', 'a', start);
      expect(await store.read('k', start)).toMatchObject({ requests: [0, 0], streams: 0 });
    });

    it('a stream counts until it leaves, or is not renewed', async () => {
      store = create();
      await store.enter('k', 'a', start);
      await store.enter('k', 'b', start);
      await store.renew('k', 'a', start + STREAM_LEASE_MS - 1);
      expect((await store.read('k', start + STREAM_LEASE_MS + 1)).streams).toBe(1);
      await store.leave('k', 'a', { tokens: 0, microUsd: 0 }, start + STREAM_LEASE_MS + 2);
      expect((await store.read('k', start + STREAM_LEASE_MS + 3)).streams).toBe(0);
    });

    it('lose nothing of many at once', async () => {
      store = create();
      await Promise.all(
        Array.from({ length: 200 }, async (_unused, index) => {
          await store.enter('k', String(index), start);
          await store.leave('k', String(index), { tokens: 3, microUsd: 7 }, start);
        }),
      );
      expect(await store.read('k', start)).toEqual({
        requests: [0, 200],
        tokens: [0, 600],
        streams: 0,
        dayMicroUsd: 1400,
        monthMicroUsd: 1400,
      });
    });
  });

it('without Redis each process counts for itself', async () => {
  const store = createRedisCounters({ url: 'redis://127.0.0.1:9', fallback: createMemoryCounters(), log });
  expect((await store.enter('k', 'a', start)).requests).toEqual([0, 1]);
  expect((await store.enter('k', 'b', start)).requests).toEqual([0, 2]);
  await store.close();
});

describe('limits', () => {
  const none = {
    requestsPerMinute: undefined,
    tokensPerMinute: undefined,
    concurrentStreams: undefined,
    budgetUsdPerDay: undefined,
    budgetUsdPerMonth: undefined,
  };
  const counters = {
    requests: [0, 1] as [number, number],
    tokens: [0, 0] as [number, number],
    streams: 1,
    dayMicroUsd: 0,
    monthMicroUsd: 0,
  };
  const refused = (limits: Partial<KeyLimits>, used: Partial<typeof counters>, at = 0) =>
    refusalOf({ ...counters, ...used }, { ...none, ...limits }, start + at);

  it('let pass what is within them', () => {
    expect(refused({}, { requests: [1e6, 1e6] })).toBeUndefined();
    expect(refused({ requestsPerMinute: 2 }, { requests: [0, 2] })).toBeUndefined();
    expect(refused({ tokensPerMinute: 10 }, { tokens: [0, 9] })).toBeUndefined();
    expect(refused({ concurrentStreams: 1 }, { streams: 1 })).toBeUndefined();
    expect(refused({ budgetUsdPerDay: 1 }, { dayMicroUsd: 999_999 })).toBeUndefined();
  });

  it('of requests slide over the minute, and say how long to wait', () => {
    const full = refused({ requestsPerMinute: 2 }, { requests: [0, 3] }, 15_000);
    expect(full).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 75_000 });
    // Half of the four before still count.
    expect(refused({ requestsPerMinute: 3 }, { requests: [4, 1] }, 30_000)).toBeUndefined();
    expect(refused({ requestsPerMinute: 3 }, { requests: [4, 2] }, 30_000)).toMatchObject({ retryAfterMs: 15_000 });
  });

  it('the wait is long enough', () => {
    for (const [before, count, at] of [
      [4, 2, 30_000],
      [0, 3, 15_000],
      [10, 1, 0],
      [3, 3, 59_000],
    ] as const) {
      const wait = refused({ requestsPerMinute: 2 }, { requests: [before, count] }, at)?.retryAfterMs ?? Number.NaN;
      const after = at + wait;
      const next = after >= MINUTE ? ([count - 1, 1] as [number, number]) : ([before, count] as [number, number]);
      expect(refused({ requestsPerMinute: 2 }, { requests: next }, after)).toBeUndefined();
    }
  });

  it('of tokens, streams and money refuse what is over them', () => {
    expect(refused({ tokensPerMinute: 10 }, { tokens: [0, 10] })).toMatchObject({ code: 'RATE_LIMITED' });
    expect(refused({ concurrentStreams: 1 }, { streams: 2 })).toMatchObject({
      code: 'RATE_LIMITED',
      retryAfterMs: 1000,
    });
    const day = refused({ budgetUsdPerDay: 0.5 }, { dayMicroUsd: 500_000 });
    expect(day).toMatchObject({ code: 'BUDGET_EXCEEDED', retryable: false });
    expect(day?.retryAfterMs).toBeLessThanOrEqual(24 * 3_600_000);
    const month = refused({ budgetUsdPerMonth: 0 }, {});
    expect(month).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(month?.retryAfterMs).toBeGreaterThan(0);
  });
});
