import { BoundedMap } from '@codelab/protocol';
import type { Route } from '../routing/model-router.ts';

export interface BreakerOptions {
  /** So many failures in a row open it; 0: it never opens. */
  failures: number;
  /** How long it stays open until one request may try again. Milliseconds. */
  cooldownMs: number;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** Keeps requests from routes that only fail: a circuit breaker for each provider and model. */
export interface Breakers {
  /** How long the route is to be left alone, in milliseconds; 0 where it may be asked. Whoever asks a half-open one is its trial. */
  admit(route: Route): number;
  succeeded(route: Route): void;
  failed(route: Route): void;
  /** The trial ended without telling anything. */
  released(route: Route): void;
  states(): Array<{ provider: string; model: string; state: BreakerState }>;
}

interface Breaker {
  provider: string;
  model: string;
  failures: number;
  openUntil: number;
  isTried: boolean;
}

/** Callers may name any model: only so many are remembered. */
const MAX_ROUTES = 1_000;

export function createBreakers({ failures, cooldownMs }: BreakerOptions, now = Date.now): Breakers {
  const breakers = new BoundedMap<string, Breaker>(MAX_ROUTES);
  const find = (route: Route) => breakers.get(keyOf(route));
  return {
    admit(route) {
      const breaker = find(route);
      if (breaker === undefined || breaker.failures < failures) return 0;
      const left = breaker.openUntil - now();
      if (left > 0) return left;
      if (breaker.isTried) return cooldownMs;
      breaker.isTried = true;
      return 0;
    },
    succeeded(route) {
      breakers.delete(keyOf(route));
    },
    failed(route) {
      if (failures === 0) return;
      const key = keyOf(route);
      const breaker = breakers.get(key) ?? {
        provider: route.provider.id,
        model: route.model,
        failures: 0,
        openUntil: 0,
        isTried: false,
      };
      breaker.failures++;
      breaker.isTried = false;
      if (breaker.failures >= failures) breaker.openUntil = now() + cooldownMs;
      breakers.set(key, breaker);
    },
    released(route) {
      const breaker = find(route);
      if (breaker !== undefined) breaker.isTried = false;
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
