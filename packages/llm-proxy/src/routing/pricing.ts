import type { Config } from '../config/config.ts';
import { createNameFilter } from '../config/name-filter.ts';
import type { CountedUsage } from '../providers/provider.ts';
import type { Route } from './model-router.ts';

const MILLION = 1_000_000;

/** Returns the cost of an answer in US dollars; undefined if the model has no price. */
export type CostOf = (route: Route, usage: CountedUsage) => number | undefined;

/** Creates the cost function of the configuration file's `prices`. Models of this process cost nothing unless they have a price. */
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
