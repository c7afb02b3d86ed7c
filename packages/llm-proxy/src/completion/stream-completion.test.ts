import { CodelabError, type ErrorCode } from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import { beforeEach, describe, expect, it } from 'vitest';
import { createFakeClock, type FakeClock } from '../../../../tests/support/fake-clock.ts';
import type { Caller } from '../access/virtual-keys.ts';
import { CancelToken } from '../lib/cancel-token.ts';
import { noChoices } from '../providers/provider.ts';
import type { Route } from '../routing/model-router.ts';
import type { Attempt, AttemptRun } from './attempt.ts';
import { type Breakers, createBreakers } from './circuit-breaker.ts';
import type { CompletionReport } from './completion-metrics.ts';
import { createResponseCache } from './response-cache.ts';
import { streamCompletion } from './stream-completion.ts';

const routes = ['one', 'two'].map((id) => ({ provider: { id }, model: 'm' }) as Route) as [Route, Route];
const LIMITS = { maxRetries: 2, firstTokenMs: 10_000, idleMs: 5_000, totalMs: 60_000 };

let clock: FakeClock;
let breakers: Breakers;
let logged: Array<Record<string, unknown>>;
let released: unknown[];
let reports: CompletionReport[];
let inFlight: number;
let delivered: string[];
const note = (fields: Record<string, unknown>) => logged.push(fields);
const log = { debug: () => {}, info: note, warn: note, error: note } as unknown as Logger;
const caller: Caller = {
  name: 'team',
  mayUse: () => true,
  admit: async () => ({ release: (spent) => released.push(spent) }),
};
const events = () => logged.map(({ event }) => event);

beforeEach(() => {
  clock = createFakeClock();
  logged = [];
  released = [];
  reports = [];
  delivered = [];
  inFlight = 0;
  breakers = createBreakers({ failures: 3, cooldownMs: 1_000, now: clock.now, log });
});

type Run = (how: AttemptRun<string>, begin: () => void) => Promise<void>;

/** An attempt that does what `run` says. `begin` marks the beginning of the answer. */
function attemptOf(run: Run, usage: Attempt<string>['usage'] = () => undefined): Attempt<string> {
  let hasBegun = false;
  const begin = () => {
    hasBegun = true;
  };
  return {
    run: (how) => run(how, begin),
    hasBegun: () => hasBegun,
    opened: () => noChoices,
    hasFailed: () => false,
    usage,
  };
}

const whole: Run = async ({ deliver, onActivity }, begin) => {
  begin();
  onActivity();
  await deliver('hello');
};
const failing =
  (code: ErrorCode): Run =>
  async () => {
    throw new CodelabError(code);
  };
/** Sends nothing until it is aborted. */
const silent: Run = ({ cancel }) =>
  new Promise((_resolve, reject) => cancel.addEventListener('abort', () => reject(new Error('aborted'))));

interface Asking {
  open: (route: Route) => Attempt<string>;
  signal?: CancelToken;
  hedgeAfterMs?: number;
  among?: [Route, ...Route[]];
  totalMs?: number;
}

function ask({ open, signal, hedgeAfterMs, among = routes, totalMs = LIMITS.totalMs }: Asking): Promise<unknown> {
  return streamCompletion(
    { model: 'one/m', caller, open, signal, requestId: 'r' },
    {
      models: {
        list: async () => ({ models: [], defaultModel: 'm' }),
        resolve: async () => ({ routes: among, hedgeAfterMs }),
      },
      limits: { ...LIMITS, totalMs },
      breakers,
      costOf: () => undefined,
      cache: createResponseCache(undefined),
      report: (report) => reports.push(report),
      beginCompletion() {
        inFlight++;
        return () => {
          inFlight--;
        };
      },
      clock,
      log,
    },
    (part) => {
      delivered.push(part);
      return undefined;
    },
  ).catch((error: unknown) => error);
}

/** Asks with an attempt for each of `runs`, in order. */
function askInOrder(runs: Run[], more: Partial<Asking> = {}) {
  const asked: string[] = [];
  const open = (route: Route) => {
    asked.push(route.provider.id);
    return attemptOf(runs[asked.length - 1] ?? whole);
  };
  return { asked, done: ask({ open, ...more }) };
}

it.each([
  ['is whole', async () => {}],
  [
    'fails',
    async () => {
      throw new Error('broken');
    },
  ],
])('the key is released where an answer %s, though it cannot be counted', async (_, run) => {
  await ask({
    open: () =>
      attemptOf(
        async (_how, begin) => {
          begin();
          await run();
        },
        () => {
          throw new RangeError('uncountable');
        },
      ),
  });
  expect(released).toEqual([{ usage: undefined, costUsd: undefined }]);
  expect(reports).toHaveLength(1);
  expect(inFlight).toBe(0);
  expect(clock.timers()).toBe(0);
  expect(events()).toContain('usage.uncounted');
});

describe('a failure before the first token', () => {
  it('is retried after its delay, then the next route is asked', async () => {
    const down = failing('PROVIDER_UNAVAILABLE');
    const { asked, done } = askInOrder([down, down, failing('PROVIDER_RATE_LIMIT'), whole]);
    await clock.wind(0);
    expect(asked).toEqual(['one']);
    await clock.wind(299);
    expect(asked).toEqual(['one']);
    await clock.wind(10_000);
    expect(await done).toBeUndefined();
    expect(asked).toEqual(['one', 'one', 'one', 'two']);
    expect(delivered).toEqual(['hello']);
    expect(events()).toEqual(['provider.retry', 'provider.retry', 'provider.fallback', 'completion.finished']);
    expect(reports).toMatchObject([{ provider: 'two', outcome: 'finish', retries: 2 }]);
    expect(clock.timers()).toBe(0);
  });

  it('is not retried when the client has gone', async () => {
    const signal = new CancelToken();
    const { asked, done } = askInOrder([failing('PROVIDER_UNAVAILABLE')], { signal });
    await clock.wind(0);
    signal.abort();
    expect(await done).toBeUndefined();
    expect(asked).toEqual(['one']);
    expect(reports).toMatchObject([{ outcome: 'cancelled' }]);
    expect(clock.timers()).toBe(0);
  });

  it('of the request alone is not retried', async () => {
    const { asked, done } = askInOrder([failing('VALIDATION')]);
    expect(await done).toMatchObject({ code: 'VALIDATION' });
    expect(asked).toEqual(['one']);
    expect(events()).toEqual(['completion.failed', 'completion.finished']);
  });
});

describe('timeouts', () => {
  it('a route that says nothing is given up after the first-token time, and asked again', async () => {
    const { asked, done } = askInOrder([silent, whole]);
    await clock.wind(LIMITS.firstTokenMs - 1);
    expect(asked).toEqual(['one']);
    expect(events()).toEqual([]);
    await clock.wind(1_000);
    await done;
    expect(asked).toEqual(['one', 'one']);
    expect(logged[0]).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', reason: 'The provider said nothing for 10 s' });
  });

  it('an answer that stops is lost after the idle time, and a tenth of it at most', async () => {
    const stalls: Run = async (how, begin) => {
      await whole(how, begin);
      await silent(how, begin);
    };
    const { asked, done } = askInOrder([stalls]);
    await clock.wind(LIMITS.idleMs - 1);
    expect(reports).toEqual([]);
    await clock.wind(LIMITS.idleMs / 10 + 1);
    expect(await done).toMatchObject({ code: 'PROVIDER_STREAM_LOST' });
    expect(asked).toEqual(['one']);
  });

  it('an answer that goes on for ever ends at the total time', async () => {
    const drips: Run = async (how, begin) => {
      await whole(how, begin);
      const stop = clock.every(1_000, how.onActivity);
      await silent(how, begin).finally(stop);
    };
    const { done } = askInOrder([drips]);
    await clock.wind(LIMITS.totalMs - 1);
    expect(reports).toEqual([]);
    await clock.wind(1);
    expect(await done).toMatchObject({ reason: 'The provider was not done after 60 s' });
    expect(clock.timers()).toBe(0);
  });

  it('nothing is asked once the total time has passed during a retry delay', async () => {
    const limited: Run = async () => {
      throw new CodelabError('PROVIDER_RATE_LIMIT', undefined, { retryAfterMs: 15_000 });
    };
    const { asked, done } = askInOrder([limited], { totalMs: 12_000 });
    await clock.wind(30_000);
    expect(await done).toMatchObject({ code: 'PROVIDER_RATE_LIMIT' });
    expect(asked).toEqual(['one']);
    expect(clock.timers()).toBe(0);
  });
});

describe('a hedge', () => {
  it('is asked after its time, and the first one is aborted when it begins', async () => {
    const { asked, done } = askInOrder([silent, whole], { hedgeAfterMs: 500 });
    await clock.wind(499);
    expect(asked).toEqual(['one']);
    await clock.wind(1);
    await done;
    expect(asked).toEqual(['one', 'two']);
    expect(delivered).toEqual(['hello']);
    expect(reports).toMatchObject([{ provider: 'two', outcome: 'finish' }]);
    expect(clock.timers()).toBe(0);
  });

  it('is not asked where the first one begins in time', async () => {
    const { asked, done } = askInOrder([whole], { hedgeAfterMs: 500 });
    await clock.wind(1_000);
    await done;
    expect(asked).toEqual(['one']);
  });
});

describe('the probe of a half-open circuit breaker', () => {
  const [route] = routes;
  const halfOpen = async () => {
    for (let count = 0; count < 3; count++) breakers.failed(route);
    await clock.wind(1_000);
    expect(breakers.states()).toMatchObject([{ state: 'half-open' }]);
  };

  it('is free again where the request cannot be sent to the route', async () => {
    await halfOpen();
    const open = () => {
      throw new CodelabError('VALIDATION');
    };
    expect(await ask({ open, among: [route] })).toMatchObject({ code: 'VALIDATION' });
    expect(breakers.admit(route)).toBe(0);
  });

  it('is free again where the client leaves', async () => {
    await halfOpen();
    const signal = new CancelToken();
    const { done } = askInOrder([silent], { signal, among: [route] });
    await clock.wind(0);
    signal.abort();
    await done;
    expect(breakers.admit(route)).toBe(0);
  });

  it('was not taken where the client had left before', async () => {
    await halfOpen();
    const signal = new CancelToken();
    signal.abort();
    const { asked, done } = askInOrder([whole], { signal, among: [route] });
    await done;
    expect(asked).toEqual([]);
    expect(breakers.admit(route)).toBe(0);
  });
});
