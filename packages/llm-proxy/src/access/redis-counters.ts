import type { Logger } from '@codelab/service-kit';
import { Redis } from 'ioredis';
import { type CounterStore, type Counters, STREAM_LEASE_MS, windowsOf } from './quota.ts';

const COMMAND_TIMEOUT_MS = 500;
const MINUTES_KEPT_S = 180;
const DAY_KEPT_S = 2 * 24 * 3600;
const MONTH_KEPT_S = 32 * 24 * 3600;

export interface RedisCountersOptions {
  /** `redis://…` or `rediss://…`. */
  url: string;
  /** What counts while Redis can't be reached. */
  fallback: CounterStore;
  log: Logger;
  /** Before each key. Default: `codelab:llm-proxy`. */
  prefix?: string;
}

/** Counters that several llm-proxies share. While Redis can't be reached, each counts by itself, and says so once. */
export function createRedisCounters({
  url,
  fallback,
  log,
  prefix = 'codelab:llm-proxy',
}: RedisCountersOptions): CounterStore {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: 5_000,
    retryStrategy: (tries) => Math.min(tries * 100, 2_000),
  });
  // Each request that comes while the connection comes about waits for it.
  redis.setMaxListeners(0);
  let isDown = false;
  const down = (error: unknown) => {
    if (isDown) return;
    isDown = true;
    const reason = error instanceof Error ? error.message : String(error);
    log.warn(
      { reason },
      'Redis (LLM_PROXY__REDIS_URL) cannot be reached: limits are counted in this process alone until it can',
    );
  };
  redis.on('error', down);
  redis.on('ready', () => {
    if (isDown) log.info('Redis can be reached again: limits are counted there');
    isDown = false;
  });

  const orFallback = async <T>(ask: () => Promise<T>, otherwise: () => Promise<T>): Promise<T> => {
    try {
      await ready(redis);
      return await ask();
    } catch (error) {
      down(error);
      return otherwise();
    }
  };
  const namesOf = (key: string, now: number) => {
    const { before, minute, day, month } = windowsOf(now);
    const base = `${prefix}:{${key}}`;
    return {
      requestsBefore: `${base}:requests:${before}`,
      requests: `${base}:requests:${minute}`,
      tokensBefore: `${base}:tokens:${before}`,
      tokens: `${base}:tokens:${minute}`,
      day: `${base}:usd:${day}`,
      month: `${base}:usd:${month}`,
      streams: `${base}:streams`,
    };
  };
  const read = async (key: string, now: number): Promise<Counters> => {
    const names = namesOf(key, now);
    const [counts, streams] = (await run(
      redis
        .multi()
        .mget(names.requestsBefore, names.requests, names.tokensBefore, names.tokens, names.day, names.month)
        .zcount(names.streams, `(${now}`, '+inf'),
    )) as [Array<string | null>, number];
    return toCounters(counts, streams);
  };

  return {
    enter: (key, id, now) =>
      orFallback(
        async () => {
          const names = namesOf(key, now);
          const [, , , , , counts, streams] = (await run(
            redis
              .multi()
              .incr(names.requests)
              .expire(names.requests, MINUTES_KEPT_S)
              .zremrangebyscore(names.streams, '-inf', now)
              .zadd(names.streams, now + STREAM_LEASE_MS, id)
              .pexpire(names.streams, STREAM_LEASE_MS)
              .mget(names.requestsBefore, names.requests, names.tokensBefore, names.tokens, names.day, names.month)
              .zcard(names.streams),
          )) as [unknown, unknown, unknown, unknown, unknown, Array<string | null>, number];
          return toCounters(counts, streams);
        },
        () => fallback.enter(key, id, now),
      ),
    takeBack: (key, id, now) =>
      orFallback(
        async () => {
          const names = namesOf(key, now);
          await run(redis.multi().decr(names.requests).expire(names.requests, MINUTES_KEPT_S).zrem(names.streams, id));
        },
        () => fallback.takeBack(key, id, now),
      ),
    renew: (key, id, now) =>
      orFallback(
        async () => {
          const { streams } = namesOf(key, now);
          await run(
            redis
              .multi()
              .zadd(streams, now + STREAM_LEASE_MS, id)
              .pexpire(streams, STREAM_LEASE_MS),
          );
        },
        () => fallback.renew(key, id, now),
      ),
    leave: (key, id, { tokens, microUsd }, now) =>
      orFallback(
        async () => {
          const names = namesOf(key, now);
          await run(
            redis
              .multi()
              .zrem(names.streams, id)
              .incrby(names.tokens, tokens)
              .expire(names.tokens, MINUTES_KEPT_S)
              .incrby(names.day, microUsd)
              .expire(names.day, DAY_KEPT_S)
              .incrby(names.month, microUsd)
              .expire(names.month, MONTH_KEPT_S),
          );
        },
        () => fallback.leave(key, id, { tokens, microUsd }, now),
      ),
    read: (key, now) =>
      orFallback(
        () => read(key, now),
        () => fallback.read(key, now),
      ),
    async close() {
      // Waits for the answers to what was sent before.
      if (redis.status === 'ready') await redis.quit().catch(() => {});
      redis.disconnect();
      await fallback.close();
    },
  };
}

/** The first commands wait for the connection, as long as a command may take. */
function ready(redis: Redis): Promise<void> | undefined {
  if (redis.status === 'ready') return undefined;
  if (redis.status !== 'connecting' && redis.status !== 'connect') throw new Error(`the connection is ${redis.status}`);
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      redis.off('ready', done);
      redis.off('close', done);
      if (redis.status === 'ready') resolve();
      else reject(new Error('the connection failed'));
    };
    const timer = setTimeout(done, COMMAND_TIMEOUT_MS);
    redis.on('ready', done);
    redis.on('close', done);
  });
}

/** Runs a transaction and throws the first error within it. */
async function run(transaction: ReturnType<Redis['multi']>): Promise<unknown[]> {
  const results = (await transaction.exec()) ?? [];
  return results.map(([error, value]) => {
    if (error !== null) throw error;
    return value;
  });
}

function toCounters(counts: Array<string | null>, streams: number): Counters {
  const [requestsBefore = 0, requests = 0, tokensBefore = 0, tokens = 0, day = 0, month = 0] = counts.map(Number);
  return {
    requests: [requestsBefore, requests],
    tokens: [tokensBefore, tokens],
    streams,
    dayMicroUsd: day,
    monthMicroUsd: month,
  };
}
