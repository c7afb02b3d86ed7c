import type { CodelabError, ErrorCode } from '@codelab/protocol';
import { type Logger, toCodelabError } from '@codelab/service-kit';
import type { Admission, Caller } from '../access/virtual-keys.ts';
import { loggedOf, ProviderError } from '../errors/provider-error.ts';
import { type CancelSignal, CancelToken } from '../lib/cancel-token.ts';
import type { Clock } from '../lib/clock.ts';
import { noChoices, type OpenedChoices } from '../providers/provider.ts';
import type { ModelRouter, Route } from '../routing/model-router.ts';
import type { CostOf } from '../routing/pricing.ts';
import type { Attempt, Deliver } from './attempt.ts';
import { charge, nameOf } from './charge.ts';
import type { Breakers } from './circuit-breaker.ts';
import type { CompletionReport } from './completion-metrics.ts';
import { type Contender, runHedged } from './hedge.ts';
import type { Recording, ResponseCache } from './response-cache.ts';
import { retryDelay } from './retry-delay.ts';
import { createTimeouts, type TimeoutLimits, type Timeouts } from './timeouts.ts';

/** Errors that trigger fallback: another provider may succeed. */
const FALL_BACK_ON: ErrorCode[] = [
  'PROVIDER_AUTH',
  'PROVIDER_RATE_LIMIT',
  'PROVIDER_UNAVAILABLE',
  'PROVIDER_STREAM_LOST',
  'MODEL_NOT_FOUND',
  'CONTEXT_WINDOW_EXCEEDED',
];
/** Errors that count for the circuit breaker: the route is down, rather than the request wrong or too much. */
const BREAKS_ON: ErrorCode[] = ['PROVIDER_UNAVAILABLE', 'PROVIDER_STREAM_LOST'];

export interface CompletionLimits extends TimeoutLimits {
  /** Retries of a route, as long as nothing of the answer has come. */
  maxRetries: number;
}

/** The services that all completions share. */
export interface CompletionServices {
  models: Pick<ModelRouter, 'list' | 'resolve'>;
  limits: CompletionLimits;
  breakers: Breakers;
  costOf: CostOf;
  cache: ResponseCache;
  /** Called once for each completion, when it is over. */
  report: (report: CompletionReport) => void;
  /** Called when a completion begins; the function it returns, when it ends. */
  beginCompletion: () => () => void;
  clock: Clock;
  log: Logger;
}

/** One completion. `T` is what its endpoint sends: chunks, or bytes of a client's wire. */
export interface Completion<T> {
  /** The model as it was asked for. */
  model: string;
  caller: Caller;
  /** The answer's key in the response cache; undefined where it is not to be cached. */
  cacheKey?: string | undefined;
  /** Creates an attempt. `opened`: choices whose beginning the client has received from earlier attempts. */
  open(route: Route, opened: OpenedChoices): Attempt<T>;
  signal: CancelSignal | undefined;
  requestId: string;
}

/**
 * Asks the model's routes and gives the parts of the answer to `deliver`. Retries, hedges and falls back as long as nothing of the answer
 * has come. Resolves when the answer is whole, or when `signal` aborts, which aborts the provider request. Rejects with a `CodelabError`
 * otherwise.
 */
export async function streamCompletion<T>(
  completion: Completion<T>,
  services: CompletionServices,
  deliver: Deliver<T>,
): Promise<void> {
  await new CompletionRun(completion, services, deliver).run();
}

class CompletionRun<T> {
  readonly #completion: Completion<T>;
  readonly #services: CompletionServices;
  readonly #deliver: Deliver<T>;
  readonly #timeouts: Timeouts;
  readonly #end: () => void;
  readonly #startedAt = performance.now();
  #firstAt: number | undefined;
  #admission: Admission | undefined;
  #recording: Recording<T> | undefined;
  #hedgeAfterMs: number | undefined;
  /** Routes to fall back on. */
  #fallbacks: Route[] = [];
  readonly #running = new Set<Contender<T>>();
  /** All attempts: those that were given up are paid as well. */
  readonly #asked: Contender<T>[] = [];
  /** The attempt that runs, or ran last; of a hedge, the winner. */
  #last: Contender<T> | undefined;
  /** The last attempt whose parts were delivered. */
  #shown: Attempt<T> | undefined;
  /** Retries of this route. */
  #tries = 0;
  /** Retries of all routes. */
  #retries = 0;
  #isCached = false;
  #outcome: CompletionReport['outcome'] = 'cancelled';
  #code: ErrorCode | undefined;

  constructor(completion: Completion<T>, services: CompletionServices, deliver: Deliver<T>) {
    this.#completion = completion;
    this.#services = services;
    this.#deliver = deliver;
    this.#timeouts = createTimeouts(services.limits, services.clock);
    this.#end = services.beginCompletion();
  }

  async run(): Promise<void> {
    const { signal } = this.#completion;
    const cancelAll = () => this.#cancelAll();
    signal?.addEventListener('abort', cancelAll);
    try {
      await this.#answer();
    } catch (thrown) {
      const error = toCodelabError(thrown);
      this.#logFailure(error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', cancelAll);
      this.#timeouts.close();
      this.#report();
    }
  }

  async #answer(): Promise<void> {
    const { model, caller, cacheKey, signal } = this.#completion;
    const { models, cache, breakers } = this.#services;
    const { routes, hedgeAfterMs } = await models.resolve(model);
    this.#admission = await caller.admit(model, routes);
    this.#recording = cacheKey === undefined ? undefined : cache.open<T>(cacheKey);
    if (this.#recording?.parts !== undefined) return this.#replay(this.#recording.parts);
    this.#hedgeAfterMs = hedgeAfterMs;
    this.#fallbacks = [...routes];
    if (signal?.aborted) return;
    let route: Route | undefined = nextRoute(this.#fallbacks, breakers);
    while (route !== undefined && !signal?.aborted) {
      const error = await this.#attempt(route);
      route = error === undefined ? undefined : await this.#routeAfter(error);
    }
  }

  /** Delivers an answer from the response cache. */
  async #replay(parts: T[]): Promise<void> {
    this.#isCached = true;
    this.#firstAt = performance.now();
    for (const part of parts) await this.#deliver(part);
    this.#outcome = 'finish';
  }

  /** Asks a route, with a hedge if there is one. Returns the error that it failed with; undefined when the completion is over. */
  async #attempt(route: Route): Promise<CodelabError | undefined> {
    const { breakers } = this.#services;
    const contender = this.#start(route);
    this.#last = contender;
    const onPart: Deliver<T> = (part) => this.#onPart(part);
    try {
      const [spare] = this.#fallbacks;
      if (this.#hedgeAfterMs === undefined || spare === undefined || this.#shown !== undefined)
        await contender.run(onPart);
      else {
        await runHedged({
          first: contender,
          second: () => (breakers.admit(spare) === 0 ? this.#start(spare) : undefined),
          afterMs: this.#hedgeAfterMs,
          deliver: onPart,
          onWinner: (winner) => {
            this.#last = winner;
          },
          clock: this.#services.clock,
        });
      }
      this.#succeed(this.#last);
      return undefined;
    } catch (thrown) {
      return toCodelabError(this.#timeouts.explain(thrown, this.#last.attempt.hasBegun()));
    } finally {
      this.#cancelAll();
      // The losers of a hedge may have been probes of half-open breakers, and have told nothing.
      for (const loser of this.#running) if (loser !== this.#last) breakers.released(loser.route);
      this.#running.clear();
      this.#timeouts.end();
    }
  }

  #start(route: Route): Contender<T> {
    const cancel = new CancelToken();
    const attempt = this.#open(route);
    this.#timeouts.begin(cancel);
    if (this.#completion.signal?.aborted) cancel.abort();
    const onActivity = () => this.#timeouts.onActivity(attempt.hasBegun());
    const run = (deliver: Deliver<T>) => attempt.run({ cancel, onActivity, deliver });
    const contender = { route, attempt, cancel, run };
    this.#running.add(contender);
    this.#asked.push(contender);
    const { requestId, model: asked } = this.#completion;
    const attempts = this.#asked.length;
    this.#services.log.debug(
      { requestId, asked, ...nameOf(route), attempt: attempts, event: 'route.attempt' },
      'a provider is asked',
    );
    return contender;
  }

  #open(route: Route): Attempt<T> {
    try {
      return this.#completion.open(route, this.#shown?.opened() ?? noChoices);
    } catch (error) {
      // The request cannot be sent to this route: a probe of its breaker has told nothing.
      this.#services.breakers.released(route);
      throw error;
    }
  }

  #onPart(part: T): Promise<void> | undefined {
    const attempt = this.#last?.attempt;
    if (this.#firstAt === undefined && attempt?.hasBegun()) this.#firstAt = performance.now();
    this.#shown = attempt;
    this.#recording?.add(part);
    return this.#deliver(part);
  }

  #succeed({ attempt, route }: Contender<T>): void {
    const { breakers, log } = this.#services;
    if (!attempt.hasFailed()) {
      breakers.succeeded(route);
      this.#outcome = 'finish';
      this.#recording?.keep();
      return;
    }
    breakers.failed(route);
    this.#outcome = 'error';
    this.#code = 'PROVIDER_STREAM_LOST';
    const { requestId } = this.#completion;
    log.warn(
      { requestId, ...nameOf(route), code: this.#code, event: 'answer.failed' },
      'the answer ended with a failure of the provider, which was passed on',
    );
  }

  /** Returns the route to ask after a failure: the same one, once its retry delay is over, or the next. Throws `error` if there is none. */
  async #routeAfter(error: CodelabError): Promise<Route | undefined> {
    const { breakers, limits, clock, log } = this.#services;
    const { signal, requestId } = this.#completion;
    const { attempt, route } = this.#last as Contender<T>;
    if (signal?.aborted) return undefined;
    if (BREAKS_ON.includes(error.code)) breakers.failed(route);
    else breakers.released(route);
    // Once a part has come, a second attempt would repeat it.
    if (attempt.hasBegun() || this.#timeouts.isOver) throw error;
    const fields = { requestId, ...nameOf(route), ...loggedOf(error) };
    const delayMs = this.#tries < limits.maxRetries ? retryDelay(error, this.#tries) : undefined;
    if (delayMs !== undefined && breakers.admit(route) === 0) {
      this.#tries++;
      this.#retries++;
      log.warn(
        { ...fields, retry: this.#retries, delayMs, event: 'provider.retry' },
        'provider request failed, retrying',
      );
      await sleep(delayMs, signal, clock);
      if (this.#timeouts.isOver) throw error;
      return route;
    }
    if (this.#fallbacks.length === 0 || !FALL_BACK_ON.includes(error.code)) throw error;
    const next = nextRoute(this.#fallbacks, breakers, error);
    log.warn(
      { ...fields, next: nameOf(next), event: 'provider.fallback' },
      'provider request failed, falling back to the next route',
    );
    this.#tries = 0;
    return next;
  }

  #cancelAll(): void {
    for (const { cancel } of this.#running) cancel.abort();
  }

  #logFailure(error: CodelabError): void {
    this.#outcome = 'error';
    this.#code = error.code;
    const { requestId, model } = this.#completion;
    const isOurs = error.code === 'INTERNAL';
    this.#services.log[isOurs ? 'error' : 'warn'](
      {
        requestId,
        ...this.#served(),
        model,
        ...loggedOf(error),
        err: isOurs ? error.cause : undefined,
        event: 'completion.failed',
      },
      'completion failed',
    );
  }

  #report(): void {
    const { caller, requestId } = this.#completion;
    const { breakers, costOf, report, log } = this.#services;
    const { spent, usage, costUsd } = charge(this.#admission, this.#asked, costOf, (err) =>
      log.error({ requestId, err, event: 'usage.uncounted' }, 'usage of a completion could not be counted'),
    );
    if (this.#last !== undefined && this.#outcome !== 'finish') breakers.released(this.#last.route);
    this.#end();
    const totalMs = Math.round(performance.now() - this.#startedAt);
    const firstTokenMs = this.#firstAt === undefined ? undefined : Math.round(this.#firstAt - this.#startedAt);
    const fields = {
      ...this.#served(),
      outcome: this.#outcome,
      retries: this.#retries,
      firstTokenMs,
      totalMs,
      isCached: this.#isCached,
    };
    log.info(
      { requestId, ...fields, costUsd, keyName: caller.name, usage, event: 'completion.finished' },
      'completion finished',
    );
    report({ ...fields, code: this.#code, spent });
  }

  #served() {
    return this.#last === undefined ? { provider: 'none', model: '' } : nameOf(this.#last.route);
  }
}

/** Takes the first route that its circuit breaker admits. Throws `error`, or `PROVIDER_UNAVAILABLE`, where none is. */
function nextRoute(routes: Route[], breakers: Breakers, error?: CodelabError): Route {
  let soonest = Number.POSITIVE_INFINITY;
  for (let route = routes.shift(); route !== undefined; route = routes.shift()) {
    const waitMs = breakers.admit(route);
    if (waitMs === 0) return route;
    soonest = Math.min(soonest, waitMs);
  }
  if (error !== undefined) throw error;
  throw new ProviderError(
    'PROVIDER_UNAVAILABLE',
    `The provider failed too often in a row: it is asked again in ${Math.ceil(soonest / 1000)} s`,
    { retryAfterMs: soonest },
  );
}

/** Resolves after `ms`, or when `signal` aborts. */
function sleep(ms: number, signal: CancelSignal | undefined, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      cancelTimer();
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const cancelTimer = clock.after(ms, wake);
    if (signal?.aborted) wake();
    else signal?.addEventListener('abort', wake);
  });
}
