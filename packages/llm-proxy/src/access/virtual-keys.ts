import { CodelabError, newId, noUsage } from '@codelab/protocol';
import { type Credentials, isRealKey, type Logger, sha256, tokenOf } from '@codelab/service-kit';
import type { Config, VirtualKey } from '../config/config.ts';
import { createNameFilter } from '../config/name-filter.ts';
import type { Clock } from '../lib/clock.ts';
import type { CountedUsage } from '../providers/provider.ts';
import type { Route } from '../routing/model-router.ts';
import type { CostOf } from '../routing/pricing.ts';
import { type CounterStore, type Counters, type KeyLimits, refusalOf, STREAM_LEASE_MS } from './quota.ts';

/** The owner of the key that a request came with. */
export interface Caller {
  /** The key's name in the configuration file; `internal` for llm-proxy's own. */
  name: string;
  /** True if the key may ask for this model. */
  mayUse(model: string): boolean;
  /** Admits a completion and counts it. Throws `FORBIDDEN`, `RATE_LIMITED`, `BUDGET_EXCEEDED`. */
  admit(model: string, routes: Route[]): Promise<Admission | undefined>;
}

export interface Admission {
  /** Ends the completion, however it went: charges its usage to the key and frees its stream. */
  release(spent: { usage: CountedUsage | undefined; costUsd: number | undefined }): void;
}

export interface KeyUsage {
  name: string;
  limits: KeyLimits;
  counters: Counters;
}

export interface VirtualKeys {
  find(credentials: Credentials): Caller | undefined;
  /** Returns the error for credentials that `find` does not know. */
  refusalOf(credentials: Credentials): CodelabError;
  /** Returns the usage of the caller's key, or of all keys for llm-proxy's own. */
  usage(caller: Caller): Promise<KeyUsage[]>;
}

export interface VirtualKeysOptions {
  /** `LLM_PROXY__INTERNAL_API_KEY`: it has no limits. */
  internalKey: string;
  keys: Config['keys'];
  variables: Record<string, string | undefined>;
  counters: CounterStore;
  costOf: CostOf;
  clock: Clock;
  log: Logger;
}

const internal: Caller = { name: 'internal', mayUse: () => true, admit: async () => undefined };

/** Looks keys up by their digest, so that the time it takes tells nothing about them. */
export function createVirtualKeys({
  internalKey,
  keys,
  variables,
  counters,
  costOf,
  clock,
  log,
}: VirtualKeysOptions): VirtualKeys {
  const callers = new Map<string, Caller>();
  const entries = Object.entries(keys);
  for (const [name, key] of entries) {
    const digest = digestOf(name, key, variables, log);
    if (digest !== undefined) callers.set(digest, createCaller(name, key, { counters, costOf, clock, log }));
  }
  callers.set(sha256(internalKey).toString('hex'), internal);
  return {
    find(credentials) {
      const token = credentialOf(credentials);
      return token === undefined ? undefined : callers.get(sha256(token).toString('hex'));
    },
    refusalOf: unknownKey,
    usage: (caller) =>
      Promise.all(
        entries
          .filter(([name]) => caller === internal || caller.name === name)
          .map(async ([name, key]) => ({
            name,
            limits: limitsOf(key),
            counters: await counters.read(name, clock.now()),
          })),
      ),
  };
}

/** Returns the key of a request: Anthropic's and Azure's clients have headers of their own for it. */
function credentialOf(credentials: Credentials): string | undefined {
  const { headers } = credentials;
  const given = headers['x-internal-auth'] === undefined ? (headers['x-api-key'] ?? headers['api-key']) : undefined;
  return typeof given === 'string' ? given : tokenOf(credentials);
}

function unknownKey(credentials: Credentials): CodelabError {
  return new CodelabError(
    'UNAUTHORIZED',
    credentialOf(credentials) === undefined
      ? 'This needs a key: send the value of LLM_PROXY__INTERNAL_API_KEY in the header X-Internal-Auth.'
      : 'The key is wrong: it must be the value of LLM_PROXY__INTERNAL_API_KEY, or a key of llm-proxy.config.yaml.',
  );
}

function digestOf(
  name: string,
  { key_env: variable, key_sha256: digest }: VirtualKey,
  variables: Record<string, string | undefined>,
  log: Logger,
): string | undefined {
  if (variable === undefined) return digest?.toLowerCase();
  const key = variables[variable];
  if (key !== undefined && isRealKey(key)) return sha256(key).toString('hex');
  const why = key ? 'is no key of at least 16 characters, not the same few again and again' : 'is not set';
  log.warn({ keyName: name, event: 'key.disabled' }, `the virtual key ${name} is disabled: ${variable} ${why}`);
  return undefined;
}

function limitsOf(key: VirtualKey): KeyLimits {
  return {
    requestsPerMinute: key.requests_per_minute,
    tokensPerMinute: key.tokens_per_minute,
    concurrentStreams: key.concurrent_streams,
    budgetUsdPerDay: key.budget_usd_per_day,
    budgetUsdPerMonth: key.budget_usd_per_month,
  };
}

const noCountedUsage: CountedUsage = { ...noUsage, cacheWriteTokens: 0, isEstimated: false };

function createCaller(
  name: string,
  key: VirtualKey,
  { counters, costOf, clock, log }: Pick<VirtualKeysOptions, 'counters' | 'costOf' | 'clock' | 'log'>,
): Caller {
  const limits = limitsOf(key);
  const mayUse = key.models === undefined ? () => true : createNameFilter(key.models);
  const hasBudget = limits.budgetUsdPerDay !== undefined || limits.budgetUsdPerMonth !== undefined;
  const onFailure = (err: unknown) =>
    log.error({ keyName: name, err, event: 'usage.uncounted' }, 'usage of a virtual key could not be counted');
  return {
    name,
    mayUse,
    async admit(model, routes) {
      const names = routes.map((route) => `${route.provider.id}/${route.model}`);
      if (!mayUse(model) && !names.every(mayUse))
        throw new CodelabError('FORBIDDEN', `The key "${name}" may not use the model "${model}".`);
      const unpriced = hasBudget ? routes.findIndex((route) => costOf(route, noCountedUsage) === undefined) : -1;
      if (unpriced !== -1)
        throw new CodelabError(
          'FORBIDDEN',
          `The key "${name}" has a budget, and the model "${names[unpriced]}" has no price: add one to prices in llm-proxy.config.yaml.`,
        );
      const id = newId('stream');
      const now = clock.now();
      const refusal = refusalOf(await counters.enter(name, id, now), limits, now);
      if (refusal !== undefined) {
        await counters.takeBack(name, id, now);
        throw refusal;
      }
      const cancelRenewal = clock.every(
        STREAM_LEASE_MS / 3,
        () => void counters.renew(name, id, clock.now()).catch(onFailure),
      );
      return {
        release({ usage, costUsd }) {
          cancelRenewal();
          const tokens = usage === undefined ? 0 : usage.inputTokens + usage.outputTokens;
          const microUsd = Math.round((costUsd ?? 0) * 1e6);
          counters.leave(name, id, { tokens, microUsd }, clock.now()).catch(onFailure);
        },
      };
    },
  };
}
