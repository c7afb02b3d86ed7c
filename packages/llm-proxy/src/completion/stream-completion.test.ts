import type { Logger } from '@codelab/service-kit';
import { expect, it } from 'vitest';
import type { Caller } from '../access/virtual-keys.ts';
import { nothingOpened } from '../providers/provider.ts';
import type { Route } from '../routing/model-router.ts';
import type { Attempt } from './attempt.ts';
import { createBreakers } from './circuit-breaker.ts';
import { createResponseCache } from './response-cache.ts';
import { streamCompletion } from './stream-completion.ts';

const silent = { info: () => {}, warn: () => {}, error: () => {} } as unknown as Logger;

it.each([
  ['is whole', async () => {}],
  [
    'fails',
    async () => {
      throw new Error('broken');
    },
  ],
])('the key is let go where an answer %s, though it cannot be counted', async (_, run) => {
  const settled: unknown[] = [];
  const reported: unknown[] = [];
  let open = 0;
  const route = { provider: { id: 'one' }, model: 'm' } as Route;
  const attempt: Attempt<string> = {
    run,
    hasBegun: () => true,
    opened: () => nothingOpened,
    hasFailed: () => false,
    usage() {
      throw new RangeError('uncountable');
    },
  };
  const caller: Caller = {
    name: 'team',
    mayUse: () => true,
    admit: async () => ({ settle: (spent) => settled.push(spent) }),
  };
  await streamCompletion(
    { model: 'one/m', caller, open: () => attempt, signal: undefined, requestId: 'r' },
    {
      models: {
        list: async () => ({ models: [], defaultModel: 'm' }),
        resolve: async () => ({ routes: [route], hedgeAfterMs: undefined }),
      },
      limits: { maxRetries: 0, firstTokenMs: 1_000, idleMs: 1_000, totalMs: 1_000 },
      breakers: createBreakers({ failures: 0, cooldownMs: 1 }),
      costOf: () => undefined,
      cache: createResponseCache(undefined),
      report: (report) => reported.push(report),
      opened() {
        open++;
        return () => {
          open--;
        };
      },
      log: silent,
    },
    () => undefined,
  ).catch(() => {});
  expect(settled).toEqual([{ usage: undefined, costUsd: undefined }]);
  expect(reported).toHaveLength(1);
  expect(open).toBe(0);
});
