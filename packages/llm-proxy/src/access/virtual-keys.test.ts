import type { Logger } from '@codelab/service-kit';
import { expect, it } from 'vitest';
import { createFakeClock } from '../../../../tests/support/fake-clock.ts';
import { Config } from '../config/config.ts';
import type { Route } from '../routing/model-router.ts';
import { createMemoryCounters } from './memory-counters.ts';
import { STREAM_LEASE_MS } from './quota.ts';
import { createVirtualKeys } from './virtual-keys.ts';

const KEY = 'sk-team-7f3a91c04be2d865';
const routes: Route[] = [{ provider: { id: 'one' }, model: 'm' } as Route];
const usage = {
  inputTokens: 30,
  outputTokens: 12,
  cachedTokens: 0,
  reasoningTokens: 0,
  cacheWriteTokens: 0,
  isEstimated: false,
};

/** The beginning of a minute, of a day and of a month. */
const MIDNIGHT = Date.UTC(2026, 2, 1);

function setUp(limits: object, variables: Record<string, string> = { TEAM_KEY: KEY }) {
  const clock = createFakeClock(MIDNIGHT);
  const counters = createMemoryCounters();
  const logged: Array<Record<string, unknown>> = [];
  const note = (fields: Record<string, unknown>) => logged.push(fields);
  const keys = createVirtualKeys({
    internalKey: 'internal-0123456789abcdef',
    keys: Config.parse({ keys: { team: { key_env: 'TEAM_KEY', ...limits } } }).keys,
    variables,
    counters,
    costOf: () => 0.5,
    clock,
    log: { warn: note, error: note } as unknown as Logger,
  });
  const caller = keys.find({ headers: { authorization: `Bearer ${KEY}` } });
  const admit = () => caller?.admit('one/m', routes);
  return { clock, counters, keys, caller, admit, logged };
}

it('a stream renews its lease until it is released, and no longer', async () => {
  const { clock, counters, admit } = setUp({ concurrent_streams: 1 });
  const admission = await admit();
  await clock.wind(10 * STREAM_LEASE_MS);
  expect((await counters.read('team', clock.now())).streams).toBe(1);
  await expect(admit()).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  admission?.release({ usage, costUsd: 0.5 });
  expect(clock.timers()).toBe(0);
  expect(await counters.read('team', clock.now())).toMatchObject({ streams: 0, tokens: [0, 42] });
  await expect(admit()).resolves.toBeDefined();
});

it('a limit of a minute is over when the window has slid on', async () => {
  const { clock, admit } = setUp({ requests_per_minute: 1 });
  await admit();
  const refused = await admit()?.catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'RATE_LIMITED' });
  const { retryAfterMs } = refused as unknown as { retryAfterMs: number };
  await clock.wind(retryAfterMs - 1_000);
  await expect(admit()).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  await clock.wind(1_000);
  await expect(admit()).resolves.toBeDefined();
});

it('a budget of a day is full again at midnight', async () => {
  const { clock, admit } = setUp({ budget_usd_per_day: 0.5 });
  const admission = await admit();
  admission?.release({ usage, costUsd: 0.5 });
  await expect(admit()).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED', retryAfterMs: 24 * 3_600_000 });
  await clock.wind(24 * 3_600_000 - 1);
  await expect(admit()).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED', retryAfterMs: 1 });
  await clock.wind(1);
  await expect(admit()).resolves.toBeDefined();
});

it('a key whose variable is not set is disabled, and the log says which', () => {
  const { caller, logged } = setUp({}, {});
  expect(caller).toBeUndefined();
  expect(logged).toEqual([{ keyName: 'team', event: 'key.disabled' }]);
});
