import type { Config } from '../config/config.ts';
import { createNameFilter } from '../config/name-filter.ts';
import type { CountedUsage } from '../providers/provider.ts';
import type { Route } from './model-router.ts';

const MILLION = 1_000_000;

/** What an answer cost, in US dollars; undefined where the model has no price. */
export type CostOf = (route: Route, usage: CountedUsage) => number | undefined;

/** `prices` are those of the configuration file. The models within this process cost nothing. */
export function createPricing(prices: Config['prices']): CostOf {
  const list = Object.entries(prices).map(([pattern, price]) => ({ fits: createNameFilter([pattern]), price }));
  return ({ provider, model }, usage) => {
    const price = list.find(({ fits }) => fits(`${provider.id}/${model}`))?.price;
    if (price === undefined) return provider.wire === 'builtin' ? 0 : undefined;
    const fresh = Math.max(0, usage.inputTokens - usage.cachedTokens - usage.cacheWriteTokens);
    const sum =
      fresh * price.input +
      usage.cachedTokens * (price.cached_input ?? price.input) +
      usage.cacheWriteTokens * (price.cache_write ?? price.input) +
      usage.outputTokens * price.output;
    return sum / MILLION;
  };
}
