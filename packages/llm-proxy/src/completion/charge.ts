import { addUsage } from '@codelab/protocol';
import type { Admission } from '../access/virtual-keys.ts';
import type { CountedUsage } from '../providers/provider.ts';
import type { Route } from '../routing/model-router.ts';
import type { CostOf } from '../routing/pricing.ts';
import type { Spent } from './completion-metrics.ts';
import type { Contender } from './hedge.ts';

interface Charge {
  /** Usage of each provider that was asked. */
  spent: Spent[];
  /** Their sum; undefined where no provider has done anything. */
  usage: CountedUsage | undefined;
  /** Sum of the costs that are known. */
  costUsd: number | undefined;
}

/** Adds up the usage of all attempts, charges the key with it and releases it, even where an attempt's usage cannot be counted. */
export function charge<T>(
  admission: Admission | undefined,
  asked: Contender<T>[],
  costOf: CostOf,
  onFailure: (error: unknown) => void,
): Charge {
  const total: Charge = { spent: [], usage: undefined, costUsd: undefined };
  for (const { attempt, route } of asked) {
    try {
      const usage = attempt.usage();
      if (usage === undefined) continue;
      const costUsd = costOf(route, usage);
      total.spent.push({ ...nameOf(route), usage, costUsd });
      total.usage = total.usage === undefined ? usage : sumOf(total.usage, usage);
      if (costUsd !== undefined) total.costUsd = (total.costUsd ?? 0) + costUsd;
    } catch (error) {
      onFailure(error);
    }
  }
  admission?.release({ usage: total.usage, costUsd: total.costUsd });
  return total;
}

/** Returns a route as logs and metrics name it. */
export function nameOf({ provider, model }: Route) {
  return { provider: provider.id, model };
}

function sumOf(one: CountedUsage, other: CountedUsage): CountedUsage {
  return { ...addUsage(one, other), isEstimated: one.isEstimated || other.isEstimated };
}
