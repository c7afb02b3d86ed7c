import { BoundedMap } from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import type { Route } from '../routing/model-router.ts';

export interface BreakerOptions {
  /** Consecutive failures that open a breaker; 0: it never opens. */
  failures: number;
  /** Time from opening to the first probe. Milliseconds. */
  cooldownMs: number;
  /** Milliseconds since 1970. */
  now: () => number;
  log: Logger;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** Keeps requests from routes that only fail: a circuit breaker for each provider and model. */
export interface Breakers {
  /**
   * Returns how long the route must be left alone, in milliseconds; 0 where it may be asked. In half-open state the first caller is the
   * probe.
   */
  admit(route: Route): number;
  /** Closes the breaker. */
  succeeded(route: Route): void;
  /** Counts a failure, which may open the breaker. */
  failed(route: Route): void;
  /** Ends a probe without a verdict: the next caller may be the probe. */
  released(route: Route): void;
  states(): Array<{ provider: string; model: string; state: BreakerState }>;
}

interface Breaker {
  provider: string;
  model: string;
  failures: number;
  openUntil: number;
  isProbing: boolean;
}

/** Breakers that are remembered: callers may name any model. */
const MAX_ROUTES = 1_000;

export function createBreakers({ failures, cooldownMs, now, log }: BreakerOptions): Breakers {
  const breakers = new BoundedMap<string, Breaker>(MAX_ROUTES);
  const find = (route: Route) => breakers.get(keyOf(route));
  return {
    admit(route) {
      const breaker = find(route);
      if (breaker === undefined || breaker.failures < failures) return 0;
      const left = breaker.openUntil - now();
      if (left > 0) return left;
      if (breaker.isProbing) return cooldownMs;
      breaker.isProbing = true;
      return 0;
    },
    succeeded(route) {
      const key = keyOf(route);
      const breaker = breakers.get(key);
      if (breaker === undefined) return;
      breakers.delete(key);
      const { provider, model } = breaker;
      if (breaker.failures >= failures)
        log.info({ provider, model, event: 'circuit_breaker.closed' }, 'circuit breaker closed');
    },
    failed(route) {
      if (failures === 0) return;
      const key = keyOf(route);
      const breaker = breakers.get(key) ?? {
        provider: route.provider.id,
        model: route.model,
        failures: 0,
        openUntil: 0,
        isProbing: false,
      };
      breaker.failures++;
      breaker.isProbing = false;
      if (breaker.failures >= failures) breaker.openUntil = now() + cooldownMs;
      if (breaker.failures === failures) {
        const { provider, model } = breaker;
        log.warn({ provider, model, failures, cooldownMs, event: 'circuit_breaker.opened' }, 'circuit breaker opened');
      }
      breakers.set(key, breaker);
    },
    released(route) {
      const breaker = find(route);
      if (breaker !== undefined) breaker.isProbing = false;
    },
    states: () =>
      [...breakers.values()].map(({ provider, model, failures: count, openUntil }) => ({
        provider,
        model,
        state: count < failures ? 'closed' : openUntil > now() ? 'open' : 'half-open',
      })),
  };
}

function keyOf({ provider, model }: Route): string {
  return `${provider.id}/${model}`;
}
