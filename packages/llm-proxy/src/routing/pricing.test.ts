import { expect, it } from 'vitest';
import type { Route } from './model-router.ts';
import { createPricing } from './pricing.ts';

const usage = {
  inputTokens: 100,
  outputTokens: 10,
  cachedTokens: 40,
  reasoningTokens: 5,
  cacheWriteTokens: 20,
  isEstimated: false,
};
const route = (id: string, model: string, wire = 'openai') => ({ provider: { id, wire }, model }) as Route;

it('prices what is fresh, cached, written to the cache, and answered', () => {
  const costOf = createPricing({
    'one/exact': { input: 1e6, output: 2e6, cached_input: 1e5, cache_write: 1.25e6 },
    'one/*': { input: 1e6, output: 2e6 },
  });
  expect(costOf(route('one', 'exact'), usage)).toBeCloseTo(40 + 4 + 25 + 20);
  expect(costOf(route('one', 'any/other.model'), usage)).toBeCloseTo(100 + 20);
  expect(costOf(route('two', 'exact'), usage)).toBeUndefined();
  expect(costOf(route('builtin', 'echo', 'builtin'), usage)).toBe(0);
});

it('a dot in a name is a dot', () => {
  const costOf = createPricing({ 'one/gpt-4.1': { input: 1, output: 1 } });
  expect(costOf(route('one', 'gpt-4x1'), usage)).toBeUndefined();
});
