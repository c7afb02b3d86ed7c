import { CodelabError } from '@codelab/protocol';

const MINUTE_MS = 60_000;

/** Limits of a virtual key; undefined: no limit. */
export interface KeyLimits {
  requestsPerMinute: number | undefined;
  tokensPerMinute: number | undefined;
  concurrentStreams: number | undefined;
  budgetUsdPerDay: number | undefined;
  budgetUsdPerMonth: number | undefined;
}

/** Usage of a virtual key: of the previous and the current minute, of the day and the month. Money is in millionths of a US dollar. */
export interface Counters {
  requests: [previous: number, current: number];
  tokens: [previous: number, current: number];
  streams: number;
  dayMicroUsd: number;
  monthMicroUsd: number;
}

export const noCounters: Counters = {
  requests: [0, 0],
  tokens: [0, 0],
  streams: 0,
  dayMicroUsd: 0,
  monthMicroUsd: 0,
};

/** Storage of counters. Adds are atomic; `enter` adds and reads in one step. `now`: milliseconds since 1970. */
export interface CounterStore {
  /** Counts a request and the stream `id`. Returns the counters, both included. */
  enter(key: string, id: string, now: number): Promise<Counters>;
  /** Takes a request back that was refused, and its stream. */
  takeBack(key: string, id: string, now: number): Promise<void>;
  /** Renews the lease of the stream `id`. */
  renew(key: string, id: string, now: number): Promise<void>;
  /** Ends the stream `id` and adds its usage. */
  leave(key: string, id: string, spent: { tokens: number; microUsd: number }, now: number): Promise<void>;
  read(key: string, now: number): Promise<Counters>;
  /** Resolves once everything counted is written. */
  close(): Promise<void>;
}

/** Lease of a stream: one that is not renewed within it counts as gone. */
export const STREAM_LEASE_MS = 60_000;

/** Returns the windows that a moment lies in, as names of counters. UTC. */
export function windowsOf(now: number) {
  const minute = Math.floor(now / MINUTE_MS);
  const date = new Date(now).toISOString();
  return { before: String(minute - 1), minute: String(minute), day: date.slice(0, 10), month: date.slice(0, 7) };
}

/**
 * Returns the error for a key that is over its limits; undefined if it is not. `counters` include the request in question. The minute is
 * a sliding window: the previous minute counts in proportion to its part within the last 60 s.
 */
export function refusalOf(counters: Counters, limits: KeyLimits, now: number): CodelabError | undefined {
  const { requests, tokens } = counters;
  const [before, count] = requests;
  const limited = (what: string, waitMs: number) =>
    new CodelabError('RATE_LIMITED', `This key has used up its ${what}.`, {
      retryAfterMs: Math.max(1, Math.ceil(waitMs)),
    });
  if (limits.requestsPerMinute !== undefined) {
    const wait = waitFor(before, count - 1, limits.requestsPerMinute - 1, now);
    if (wait > 0) return limited(`${limits.requestsPerMinute} requests a minute`, wait);
  }
  if (limits.tokensPerMinute !== undefined) {
    const wait = waitFor(...tokens, limits.tokensPerMinute - 1, now);
    if (wait > 0) return limited(`${limits.tokensPerMinute} tokens a minute`, wait);
  }
  if (limits.concurrentStreams !== undefined && counters.streams > limits.concurrentStreams)
    return limited(`${limits.concurrentStreams} answers at a time`, 1_000);
  return (
    budgetError(counters.dayMicroUsd, limits.budgetUsdPerDay, 'day', nextDay(now) - now) ??
    budgetError(counters.monthMicroUsd, limits.budgetUsdPerMonth, 'month', nextMonth(now) - now)
  );
}

function budgetError(
  microUsd: number,
  budgetUsd: number | undefined,
  of: string,
  waitMs: number,
): CodelabError | undefined {
  if (budgetUsd === undefined || microUsd < budgetUsd * 1e6) return undefined;
  const message = `This key has spent its budget of ${budgetUsd} US dollars a ${of}. A new ${of} begins at midnight UTC.`;
  return new CodelabError('BUDGET_EXCEEDED', message, { retryAfterMs: waitMs });
}

/** Returns the time until `before` and `count` take no more than `room` of the sliding window. Milliseconds. */
function waitFor(before: number, count: number, room: number, now: number): number {
  const gone = (now % MINUTE_MS) / MINUTE_MS;
  if (before * (1 - gone) + count <= room) return 0;
  if (count <= room) return (1 - (room - count) / before - gone) * MINUTE_MS;
  return (1 - gone + (1 - Math.max(0, room) / count)) * MINUTE_MS;
}

function nextDay(now: number): number {
  const date = new Date(now);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() + 1);
}

function nextMonth(now: number): number {
  const date = new Date(now);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}
