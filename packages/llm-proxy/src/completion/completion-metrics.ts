import type { ErrorCode } from '@codelab/protocol';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { CountedUsage } from '../providers/provider.ts';
import type { BreakerState } from './circuit-breaker.ts';

/** Result of one completion. */
export interface CompletionReport {
  provider: string;
  model: string;
  outcome: 'finish' | 'error' | 'cancelled';
  code: ErrorCode | undefined;
  /** Retries of all routes. */
  retries: number;
  /** Time until the first token. Milliseconds. */
  firstTokenMs: number | undefined;
  totalMs: number;
  /** Usage of each provider that was asked: of the one that answered, and of those that were given up. */
  spent: Spent[];
  /** True if the answer came from the response cache. */
  isCached: boolean;
}

export interface Spent {
  provider: string;
  model: string;
  usage: CountedUsage;
  /** Undefined where the model has no price. */
  costUsd: number | undefined;
}

export interface CompletionMetrics {
  report(report: CompletionReport): void;
  /** Counts a completion as in-flight until the function it returns is called. */
  beginCompletion(): () => void;
}

const BREAKER_VALUES: Record<BreakerState, number> = { closed: 0, 'half-open': 1, open: 2 };

/** Creates a counter that counts in a map until the metrics are read: prom-client hashes its labels each time, which costs more than the count. */
function countFor(registers: Registry[], config: { name: string; help: string; labelNames?: readonly string[] }) {
  const { labelNames = [] } = config;
  const pending = new Map<string, { labels: string[]; value: number }>();
  new Counter({
    ...config,
    registers,
    collect() {
      for (const { labels, value } of pending.values())
        this.inc(Object.fromEntries(labelNames.map((name, index) => [name, labels[index] ?? ''])), value);
      pending.clear();
    },
  });
  return (value: number, ...labels: string[]): void => {
    const key = labels.join('\n');
    const known = pending.get(key);
    if (known !== undefined) known.value += value;
    else if (value > 0) pending.set(key, { labels, value });
  };
}

/** Models with metrics of their own: callers may ask for any name. */
const MAX_MODELS = 500;

/** Creates the metrics of completions, for `/metrics`. */
export function createCompletionMetrics(
  registry: Registry,
  breakers: () => Array<{ provider: string; model: string; state: BreakerState }>,
): CompletionMetrics {
  const registers = [registry];
  const known = new Set<string>();
  const nameOf = (provider: string, model: string): string => {
    const name = `${provider}/${model}`;
    if (known.size < MAX_MODELS) known.add(name);
    return known.has(name) ? model : 'others';
  };
  const byModel = ['provider', 'model'] as const;
  const requests = countFor(registers, {
    name: 'codelab_completions_total',
    help: 'Completions by provider, model and outcome',
    labelNames: [...byModel, 'outcome'],
  });
  const errors = countFor(registers, {
    name: 'codelab_completion_errors_total',
    help: 'Failed completions by provider, model and error code',
    labelNames: [...byModel, 'code'],
  });
  const retries = countFor(registers, {
    name: 'codelab_completion_retries_total',
    help: 'Tries after the first',
    labelNames: ['provider'],
  });
  const tokens = countFor(registers, {
    name: 'codelab_tokens_total',
    help: 'Tokens by provider, model and kind; cached are part of input, reasoning of output',
    labelNames: [...byModel, 'kind'],
  });
  const cost = countFor(registers, {
    name: 'codelab_cost_usd_total',
    help: 'US dollars by provider and model, of models that have a price',
    labelNames: byModel,
  });
  const cacheHits = countFor(registers, { name: 'codelab_cache_hits_total', help: 'Answers from the response cache' });
  const open = new Gauge({
    name: 'codelab_open_completions',
    help: 'Completions that are not over',
    registers,
  });
  new Gauge({
    name: 'codelab_breaker_state',
    help: 'Circuit breakers of routes that have failed of late: 0 closed, 1 half open, 2 open',
    labelNames: byModel,
    registers,
    collect() {
      this.reset();
      for (const { provider, model, state } of breakers()) this.set({ provider, model }, BREAKER_VALUES[state]);
    },
  });
  const firstToken = new Histogram({
    name: 'codelab_first_token_seconds',
    help: 'Time to the first token',
    labelNames: byModel,
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const duration = new Histogram({
    name: 'codelab_completion_seconds',
    help: 'Time to the end of the answer',
    labelNames: ['provider'],
    buckets: [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    registers,
  });
  return {
    report({ provider, model: asked, outcome, code, retries: tried, firstTokenMs, totalMs, spent, isCached }) {
      const model = nameOf(provider, asked);
      requests(1, provider, model, outcome);
      if (code !== undefined) errors(1, provider, model, code);
      if (tried > 0) retries(tried, provider);
      if (isCached) cacheHits(1);
      if (firstTokenMs !== undefined) firstToken.observe({ provider, model }, firstTokenMs / 1000);
      duration.observe({ provider }, totalMs / 1000);
      for (const { provider: of, model: named, usage, costUsd } of spent) {
        const name = nameOf(of, named);
        if (costUsd !== undefined) cost(costUsd, of, name);
        tokens(usage.inputTokens, of, name, 'input');
        tokens(usage.outputTokens, of, name, 'output');
        tokens(usage.cachedTokens, of, name, 'cached');
        tokens(usage.cacheWriteTokens, of, name, 'cache_write');
        tokens(usage.reasoningTokens, of, name, 'reasoning');
      }
    },
    beginCompletion() {
      open.inc();
      return () => open.dec();
    },
  };
}
