import type { ErrorCode, Usage } from '@codelab/protocol';
import { Counter, Histogram, type Registry } from 'prom-client';

/** How one completion went. */
export interface CompletionReport {
  provider: string;
  model: string;
  outcome: 'finish' | 'error' | 'cancelled';
  code: ErrorCode | undefined;
  retries: number;
  /** Until the first token. Milliseconds. */
  firstTokenMs: number | undefined;
  totalMs: number;
  usage: Usage | undefined;
}

/** Counts completions for `/metrics`. A model is named only where it has answered: callers may ask for any name. */
export function createCompletionMetrics(registry: Registry): (report: CompletionReport) => void {
  const registers = [registry];
  const requests = new Counter({
    name: 'codelab_completions_total',
    help: 'Completions by provider, model and outcome',
    labelNames: ['provider', 'model', 'outcome'],
    registers,
  });
  const errors = new Counter({
    name: 'codelab_completion_errors_total',
    help: 'Failed completions by provider and error code',
    labelNames: ['provider', 'code'],
    registers,
  });
  const retries = new Counter({
    name: 'codelab_completion_retries_total',
    help: 'Tries after the first',
    labelNames: ['provider'],
    registers,
  });
  const tokens = new Counter({
    name: 'codelab_tokens_total',
    help: 'Tokens by provider, model and kind; cached are part of input, reasoning of output',
    labelNames: ['provider', 'model', 'kind'],
    registers,
  });
  const firstToken = new Histogram({
    name: 'codelab_first_token_seconds',
    help: 'Time to the first token',
    labelNames: ['provider'],
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
  return ({ provider, model, outcome, code, retries: tried, firstTokenMs, totalMs, usage }) => {
    const named = firstTokenMs === undefined && outcome !== 'finish' ? '' : model;
    requests.inc({ provider, model: named, outcome });
    if (code !== undefined) errors.inc({ provider, code });
    if (tried > 0) retries.inc({ provider }, tried);
    if (firstTokenMs !== undefined) firstToken.observe({ provider }, firstTokenMs / 1000);
    duration.observe({ provider }, totalMs / 1000);
    if (usage === undefined) return;
    tokens.inc({ provider, model: named, kind: 'input' }, usage.inputTokens);
    tokens.inc({ provider, model: named, kind: 'output' }, usage.outputTokens);
    tokens.inc({ provider, model: named, kind: 'cached' }, usage.cachedTokens);
    tokens.inc({ provider, model: named, kind: 'reasoning' }, usage.reasoningTokens);
  };
}
