import { setTimeout as sleep } from 'node:timers/promises';
import type { CodelabError, ErrorCode } from '@codelab/protocol';
import { type Logger, toCodelabError } from '@codelab/service-kit';
import type { Admission, Caller } from '../access/virtual-keys.ts';
import { loggedOf, ProviderError } from '../errors/provider-error.ts';
import { type CancelSignal, CancelToken, toAbortSignal } from '../lib/cancel-token.ts';
import { type CountedUsage, nothingOpened, type Opened } from '../providers/provider.ts';
import type { ModelRouter, Route } from '../routing/model-router.ts';
import type { CostOf } from '../routing/pricing.ts';
import type { Attempt, Deliver } from './attempt.ts';
import type { Breakers } from './circuit-breaker.ts';
import type { CompletionReport, Spent } from './completion-metrics.ts';
import { type Contender, runHedged } from './hedge.ts';
import type { ResponseCache } from './response-cache.ts';
import { retryDelay } from './retry-delay.ts';
import { createTimeouts, type TimeoutLimits } from './timeouts.ts';

/** What another provider may well not fail with. */
const FALL_BACK_ON: ErrorCode[] = [
  'PROVIDER_AUTH',
  'PROVIDER_RATE_LIMIT',
  'PROVIDER_UNAVAILABLE',
  'PROVIDER_STREAM_LOST',
  'MODEL_NOT_FOUND',
  'CONTEXT_WINDOW_EXCEEDED',
];
/** What says that a route is down, rather than that a request was wrong or too much. */
const BREAKS_ON: ErrorCode[] = ['PROVIDER_UNAVAILABLE', 'PROVIDER_STREAM_LOST'];

export interface CompletionLimits extends TimeoutLimits {
  /** How often a route is tried again, as long as nothing of the answer has come. */
  maxRetries: number;
}

/** What all completions share. */
export interface CompletionServices {
  models: ModelRouter;
  limits: CompletionLimits;
  breakers: Breakers;
  costOf: CostOf;
  cache: ResponseCache;
  /** Told once for each completion, when it is over. */
  report: (report: CompletionReport) => void;
  /** Told when a completion begins; the result when it ends. */
  opened: () => () => void;
  log: Logger;
}

/** One completion. `T` is what its door sends: chunks, or bytes of a client's wire. */
export interface Completion<T> {
  /** The model as it was asked for. */
  model: string;
  caller: Caller;
  /** What its answer is kept under in the response cache; undefined where it is not to be. */
  cacheKey?: string | undefined;
  /** `opened`: what the client has had the beginning of, from attempts before. */
  open(route: Route, opened: Opened): Attempt<T>;
  signal: CancelSignal | undefined;
  requestId: string;
}

/**
 * Completes with whoever serves the model, and gives `deliver` the answer's parts: tries again and falls back while nothing of it has come.
 * Resolves only where the answer is whole, or where `signal` aborts: then the upstream request is aborted. Rejects with a `CodelabError`
 * for everything else.
 */
export async function streamCompletion<T>(
  { model, caller, open, cacheKey, signal, requestId }: Completion<T>,
  { models, limits, breakers, costOf, cache, report, opened, log }: CompletionServices,
  deliver: Deliver<T>,
): Promise<void> {
  const startedAt = performance.now();
  const closed = opened();
  const timeouts = createTimeouts(limits);
  const running = new Set<Contender<T>>();
  const stopAll = () => {
    for (const { stop } of running) stop.abort();
  };
  signal?.addEventListener('abort', stopAll);
  let admission: Admission | undefined;
  let firstAt: number | undefined;
  let last: Contender<T> | undefined;
  /** All that were asked: what is given up is paid as well. */
  const asked: Contender<T>[] = [];
  let outcome: CompletionReport['outcome'] = 'cancelled';
  let code: ErrorCode | undefined;
  let retries = 0;
  /** Whose parts the client has had. */
  let shown: Attempt<T> | undefined;
  let isCached = false;

  const start = (route: Route): Contender<T> => {
    const stop = new CancelToken();
    const attempt = open(route, shown?.opened() ?? nothingOpened);
    timeouts.begin(stop);
    if (signal?.aborted) stop.abort();
    const heard = () => timeouts.heard(attempt.hasBegun());
    const run = (onPart: Deliver<T>) => attempt.run({ stop, heard, deliver: onPart });
    const contender = { route, attempt, stop, run };
    running.add(contender);
    asked.push(contender);
    return contender;
  };

  try {
    const { routes, hedgeAfterMs } = await models.resolve(model);
    admission = await caller.admit(model, routes);
    const recording = cacheKey === undefined ? undefined : cache.open<T>(cacheKey);
    if (recording?.parts !== undefined) {
      isCached = true;
      firstAt = performance.now();
      for (const part of recording.parts) await deliver(part);
      outcome = 'finish';
      return;
    }
    const waiting = [...routes];
    let route = nextRoute(waiting, breakers);
    let tries = 0;
    while (!signal?.aborted) {
      const contender = start(route);
      last = contender;
      const onPart: Deliver<T> = (part) => {
        if (firstAt === undefined && last?.attempt.hasBegun()) firstAt = performance.now();
        shown = last?.attempt;
        recording?.add(part);
        return deliver(part);
      };
      try {
        const [spare] = waiting;
        if (hedgeAfterMs === undefined || spare === undefined || shown !== undefined) await contender.run(onPart);
        else {
          await runHedged({
            first: contender,
            second: () => (breakers.admit(spare) === 0 ? start(spare) : undefined),
            afterMs: hedgeAfterMs,
            deliver: onPart,
            won: (winner) => {
              last = winner;
            },
          });
        }
        running.delete(last);
        if (last.attempt.hasFailed()) {
          breakers.failed(last.route);
          outcome = 'error';
          code = 'PROVIDER_STREAM_LOST';
          log.warn({ requestId, ...nameOf(last.route), code }, 'the provider ended its answer by a failure: passed on');
          return;
        }
        breakers.succeeded(last.route);
        outcome = 'finish';
        recording?.keep();
        return;
      } catch (thrown) {
        if (signal?.aborted) return;
        const { attempt, route: failed } = last;
        const error = toCodelabError(timeouts.explain(thrown, attempt.hasBegun()));
        if (BREAKS_ON.includes(error.code)) breakers.failed(failed);
        else breakers.released(failed);
        // Once a part has come, asking again would say it twice.
        if (attempt.hasBegun() || timeouts.isOver) throw error;
        const about = { requestId, ...nameOf(failed), ...loggedOf(error) };
        const delayMs = tries < limits.maxRetries ? retryDelay(error, tries) : undefined;
        if (delayMs !== undefined && breakers.admit(failed) === 0) {
          tries++;
          retries++;
          log.warn({ ...about, retry: retries, delayMs }, 'the provider failed: again');
          timeouts.end();
          // An abort ends the wait; the loop sees it.
          await sleep(delayMs, undefined, signal === undefined ? {} : { signal: toAbortSignal(signal) }).catch(
            () => {},
          );
          continue;
        }
        if (waiting.length === 0 || !FALL_BACK_ON.includes(error.code)) throw error;
        route = nextRoute(waiting, breakers, error);
        log.warn({ ...about, next: nameOf(route) }, 'the provider failed: to the next');
        tries = 0;
      } finally {
        stopAll();
        // Those that lost a race, above all: they were somebody's trial perhaps, and have told nothing.
        for (const { route: left } of running) breakers.released(left);
        running.clear();
        timeouts.end();
      }
    }
  } catch (thrown) {
    const error = toCodelabError(thrown);
    outcome = 'error';
    code = error.code;
    const isOurs = error.code === 'INTERNAL';
    log[isOurs ? 'error' : 'warn'](
      { requestId, ...served(last), model, ...loggedOf(error), err: isOurs ? error.cause : undefined },
      'the completion failed',
    );
    throw error;
  } finally {
    const { spent, usage, costUsd } = settle(admission, asked, costOf, (err) =>
      log.error({ requestId, err }, 'what a completion has used could not be counted'),
    );
    signal?.removeEventListener('abort', stopAll);
    timeouts.close();
    if (last !== undefined && outcome !== 'finish') breakers.released(last.route);
    closed();
    const totalMs = Math.round(performance.now() - startedAt);
    const firstTokenMs = firstAt === undefined ? undefined : Math.round(firstAt - startedAt);
    const about = { ...served(last), outcome, retries, firstTokenMs, totalMs, isCached };
    log.info({ requestId, ...about, costUsd, keyName: caller.name, usage }, 'completion');
    report({ ...about, code, spent });
  }
}

interface Settled {
  /** By what was asked. */
  spent: Spent[];
  /** In all. */
  usage: CountedUsage | undefined;
  costUsd: number | undefined;
}

/** Counts what was used by all that were asked, and lets the key go on, whatever becomes of the counting. */
function settle<T>(
  admission: Admission | undefined,
  asked: Contender<T>[],
  costOf: CostOf,
  onFailure: (error: unknown) => void,
): Settled {
  const settled: Settled = { spent: [], usage: undefined, costUsd: undefined };
  for (const { attempt, route } of asked) {
    try {
      const usage = attempt.usage();
      if (usage === undefined) continue;
      const costUsd = costOf(route, usage);
      settled.spent.push({ ...nameOf(route), usage, costUsd });
      settled.usage = settled.usage === undefined ? usage : sumOf(settled.usage, usage);
      if (costUsd !== undefined) settled.costUsd = (settled.costUsd ?? 0) + costUsd;
    } catch (error) {
      onFailure(error);
    }
  }
  admission?.settle({ usage: settled.usage, costUsd: settled.costUsd });
  return settled;
}

function sumOf(one: CountedUsage, other: CountedUsage): CountedUsage {
  return {
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    cachedTokens: one.cachedTokens + other.cachedTokens,
    reasoningTokens: one.reasoningTokens + other.reasoningTokens,
    cacheWriteTokens: one.cacheWriteTokens + other.cacheWriteTokens,
    isEstimated: one.isEstimated || other.isEstimated,
  };
}

/** Takes the first route that its breaker lets through. Throws `error`, or that all of them are resting. */
function nextRoute(waiting: Route[], breakers: Breakers, error?: CodelabError): Route {
  let soonest = Number.POSITIVE_INFINITY;
  for (let route = waiting.shift(); route !== undefined; route = waiting.shift()) {
    const restMs = breakers.admit(route);
    if (restMs === 0) return route;
    soonest = Math.min(soonest, restMs);
  }
  if (error !== undefined) throw error;
  throw new ProviderError(
    'PROVIDER_UNAVAILABLE',
    `The provider failed too often in a row: it is asked again in ${Math.ceil(soonest / 1000)} s`,
    { retryAfterMs: soonest },
  );
}

function nameOf({ provider, model }: Route) {
  return { provider: provider.id, model };
}

function served<T>(last: Contender<T> | undefined) {
  return last === undefined ? { provider: 'none', model: '' } : nameOf(last.route);
}
