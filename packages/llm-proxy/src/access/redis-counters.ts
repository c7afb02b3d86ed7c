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
  /** Counts while Redis cannot be reached. */
  fallback: CounterStore;
  log: Logger;
  /**
   * Prefix of each Redis key.
   * @default 'codelab:llm-proxy'
   */
  prefix?: string;
}

/** Creates counters that several llm-proxies share. While Redis cannot be reached, each counts by itself; that is logged once. */
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
  const onFailure = (error: unknown) => {
    if (isDown) return;
    isDown = true;
    const reason = error instanceof Error ? error.message : String(error);
    log.warn(
      { reason, event: 'redis.lost' },
      'Redis (LLM_PROXY__REDIS_URL) cannot be reached: limits are counted in this process alone until it can',
    );
  };
  redis.on('error', onFailure);
  redis.on('ready', () => {
    if (isDown) log.info({ event: 'redis.restored' }, 'Redis can be reached again: limits are counted there');
    isDown = false;
  });

  const inRedis = createCommands(redis, prefix);
  const orFallback = async <T>(count: (store: Commands) => Promise<T>): Promise<T> => {
    try {
      await ready(redis);
      return await count(inRedis);
    } catch (error) {
      onFailure(error);
      return count(fallback);
    }
  };
  return {
    enter: (...args) => orFallback((store) => store.enter(...args)),
    takeBack: (...args) => orFallback((store) => store.takeBack(...args)),
    renew: (...args) => orFallback((store) => store.renew(...args)),
    leave: (...args) => orFallback((store) => store.leave(...args)),
    read: (...args) => orFallback((store) => store.read(...args)),
    async close() {
      // Waits for the answers to what was sent before.
      if (redis.status === 'ready') await redis.quit().catch(() => {});
      redis.disconnect();
      await fallback.close();
    },
  };
}

type Commands = Omit<CounterStore, 'close'>;

/** Creates the counters as Redis transactions. They reject while Redis cannot be reached. */
function createCommands(redis: Redis, prefix: string): Commands {
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
  return {
    async enter(key, id, now) {
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
    async takeBack(key, id, now) {
      const names = namesOf(key, now);
      await run(redis.multi().decr(names.requests).expire(names.requests, MINUTES_KEPT_S).zrem(names.streams, id));
    },
    async renew(key, id, now) {
      const { streams } = namesOf(key, now);
      await run(
        redis
          .multi()
          .zadd(streams, now + STREAM_LEASE_MS, id)
          .pexpire(streams, STREAM_LEASE_MS),
      );
    },
    async leave(key, id, { tokens, microUsd }, now) {
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
    async read(key, now) {
      const names = namesOf(key, now);
      const [counts, streams] = (await run(
        redis
          .multi()
          .mget(names.requestsBefore, names.requests, names.tokensBefore, names.tokens, names.day, names.month)
          .zcount(names.streams, `(${now}`, '+inf'),
      )) as [Array<string | null>, number];
      return toCounters(counts, streams);
    },
  };
}

/** Waits for the connection that comes about, for as long as a command may take. Throws, or rejects, where there is none. */
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
