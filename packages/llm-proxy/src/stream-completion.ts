import { setTimeout as sleep } from 'node:timers/promises';
import {
  CodelabError,
  type CompletionChunk,
  type CompletionRequest,
  type ErrorCode,
  toWireError,
  type Usage,
} from '@codelab/protocol';
import { type Logger, toCodelabError } from '@codelab/service-kit';
import type { CompletionReport } from './metrics.ts';
import type { Models } from './models.ts';
import type { ProviderChunk } from './providers/provider.ts';
import { retryDelay } from './retry-delay.ts';

/** What another provider may well not fail with. */
const FALL_BACK_ON: ErrorCode[] = [
  'PROVIDER_AUTH',
  'PROVIDER_RATE_LIMIT',
  'PROVIDER_UNAVAILABLE',
  'PROVIDER_STREAM_LOST',
  'MODEL_NOT_FOUND',
  'CONTEXT_WINDOW_EXCEEDED',
];

export interface CompletionLimits {
  /** How often a request is tried again, as long as nothing of the answer has come. */
  maxRetries: number;
  /** How long the provider may take until its first token, between two tokens, and in all. Milliseconds. */
  firstTokenMs: number;
  idleMs: number;
  totalMs: number;
}

export interface CompletionCall {
  signal: AbortSignal | undefined;
  limits: CompletionLimits;
  requestId: string;
  log: Logger;
  /** Told once, when the completion is over. */
  report: (report: CompletionReport) => void;
}

/**
 * Completes `request` with whoever serves its model. Never throws, and ends with exactly one `finish` or `error`, unless
 * `signal` aborts: then the upstream request is aborted and it just ends.
 */
export async function* streamCompletion(
  models: Models,
  request: CompletionRequest,
  { signal, limits, requestId, log, report }: CompletionCall,
): AsyncGenerator<CompletionChunk, void, undefined> {
  const startedAt = performance.now();
  let firstAt: number | undefined;
  let served = { provider: 'none', model: request.model };
  let outcome: CompletionChunk | undefined;
  let retries = 0;
  let isOpen = false;
  let usage: Usage | undefined;
  let code: ErrorCode | undefined;
  try {
    const routes = await models.resolve(request.model);
    for (let route = routes.shift(); route !== undefined && outcome === undefined && !signal?.aborted; ) {
      const { provider, model } = route;
      served = { provider: provider.id, model };
      try {
        const attempt = (stop: AbortSignal) => provider.stream({ ...request, model }, stop);
        for await (const chunk of withTimeouts(attempt, limits, signal)) {
          if (chunk.type === 'start') {
            if (!isOpen) yield chunk;
            isOpen = true;
          } else if (chunk.type === 'finish') {
            outcome = chunk;
            break;
          } else {
            if (chunk.type === 'usage') usage = chunk.usage;
            else firstAt ??= performance.now();
            yield chunk;
          }
        }
        if (outcome === undefined) throw new CodelabError('PROVIDER_STREAM_LOST');
      } catch (thrown) {
        if (signal?.aborted) return;
        const error = toCodelabError(thrown);
        // Once a part has come, asking again would say it twice.
        if (firstAt !== undefined) throw error;
        const delayMs = retries < limits.maxRetries ? retryDelay(error, retries) : undefined;
        if (delayMs !== undefined) {
          retries++;
          log.warn(
            { ...served, code: error.code, reason: error.message, retry: retries, delayMs },
            'the provider failed: again',
          );
          // An abort ends the wait; the loop sees it.
          await sleep(delayMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
          continue;
        }
        const next = FALL_BACK_ON.includes(error.code) ? routes.shift() : undefined;
        if (next === undefined) throw error;
        log.warn(
          { ...served, code: error.code, reason: error.message, next: next.provider.id },
          'the provider failed: to the next',
        );
        route = next;
        retries = 0;
      }
    }
  } catch (thrown) {
    const error = toCodelabError(thrown);
    code = error.code;
    const level = error.code === 'INTERNAL' ? 'error' : 'warn';
    const err = error.code === 'INTERNAL' ? error.cause : undefined;
    log[level]({ ...served, code: error.code, err, reason: error.message }, 'the completion failed');
    outcome = { type: 'error', error: toWireError(error, requestId) };
  } finally {
    const firstTokenMs = firstAt === undefined ? undefined : Math.round(firstAt - startedAt);
    const totalMs = Math.round(performance.now() - startedAt);
    const how = code !== undefined ? 'error' : outcome === undefined ? 'cancelled' : 'finish';
    log.info({ ...served, outcome: how, retries, firstTokenMs, totalMs }, 'completion');
    report({ ...served, outcome: how, code, retries, firstTokenMs, totalMs, usage });
  }
  if (outcome !== undefined) yield outcome;
}

/** The chunks of one attempt, whose upstream request ends with it, when `signal` aborts, and when the provider is too slow. */
async function* withTimeouts(
  stream: (stop: AbortSignal) => AsyncIterable<ProviderChunk>,
  { firstTokenMs, idleMs, totalMs }: CompletionLimits,
  signal: AbortSignal | undefined,
): AsyncGenerator<ProviderChunk, void, undefined> {
  const upstream = new AbortController();
  let late: string | undefined;
  const expire = (why: string, ms: number) =>
    setTimeout(() => {
      late = why;
      upstream.abort();
    }, ms);
  const onAbort = () => upstream.abort();
  signal?.addEventListener('abort', onAbort);
  const total = expire(`was not done after ${totalMs / 1000} s`, totalMs);
  let silence = expire(`said nothing for ${firstTokenMs / 1000} s`, firstTokenMs);
  let isFirst = true;
  try {
    if (signal?.aborted) return;
    for await (const chunk of stream(upstream.signal)) {
      if (isFirst && chunk.type !== 'start') {
        isFirst = false;
        clearTimeout(silence);
        silence = expire(`said nothing more for ${idleMs / 1000} s`, idleMs);
      } else if (!isFirst) silence.refresh();
      yield chunk;
    }
    if (late !== undefined) throw new Error(late);
  } catch (error) {
    if (late === undefined) throw error;
    const code = isFirst ? 'PROVIDER_UNAVAILABLE' : 'PROVIDER_STREAM_LOST';
    throw new CodelabError(code, `The provider ${late}.`, { cause: error });
  } finally {
    clearTimeout(total);
    clearTimeout(silence);
    signal?.removeEventListener('abort', onAbort);
    upstream.abort();
  }
}
