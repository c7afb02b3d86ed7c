import { setTimeout as sleep } from 'node:timers/promises';
import type { Attempt } from './attempt.ts';
import type { Route } from './models.ts';

/** An attempt that runs. */
export interface Contender<T> {
  route: Route;
  attempt: Attempt<T>;
  stop: AbortController;
  parts: AsyncGenerator<T, void, undefined>;
}

/** Who answered first, and what it has said so far. */
export interface Lead<T> {
  winner: Contender<T>;
  early: T[];
}

/**
 * Hedged requests: where `first` has not begun after `afterMs`, `second` is asked too, and whichever begins first goes on; the other's
 * request is aborted. Throws what `first` throws, if both fail, or if it fails before the second was asked.
 */
export async function raceToFirst<T>(
  first: Contender<T>,
  second: () => Contender<T> | undefined,
  afterMs: number,
): Promise<Lead<T>> {
  const leading = untilBegun(first);
  const timer = new AbortController();
  const waited = sleep(afterMs, undefined, { signal: timer.signal }).catch(() => undefined);
  const lead = await Promise.race([leading, waited]).finally(() => timer.abort());
  if (lead !== undefined) return lead;
  const rival = second();
  if (rival === undefined) return leading;
  const following = untilBegun(rival);
  const winning = await Promise.any([leading, following]).catch((error: AggregateError) => {
    throw error.errors[0];
  });
  (winning.winner === first ? rival : first).stop.abort();
  return winning;
}

async function untilBegun<T>(winner: Contender<T>): Promise<Lead<T>> {
  const early: T[] = [];
  while (!winner.attempt.hasBegun()) {
    const { done, value } = await winner.parts.next();
    if (done) break;
    early.push(value);
  }
  return { winner, early };
}
