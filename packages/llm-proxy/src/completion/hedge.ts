import type { CancelToken } from '../lib/cancel-token.ts';
import type { Clock } from '../lib/clock.ts';
import type { Route } from '../routing/model-router.ts';
import type { Attempt, Deliver } from './attempt.ts';

/** An attempt, with the route that it asks. */
export interface Contender<T> {
  route: Route;
  attempt: Attempt<T>;
  cancel: CancelToken;
  /** Runs the attempt. */
  run(deliver: Deliver<T>): Promise<void>;
}

export interface Hedge<T> {
  first: Contender<T>;
  /** Creates the hedge; undefined if there may be none now. */
  second: () => Contender<T> | undefined;
  /** Time until the hedge is started, unless the first contender has begun. Milliseconds. */
  afterMs: number;
  deliver: Deliver<T>;
  /** Called once, with the contender that begins first. */
  onWinner: (winner: Contender<T>) => void;
  clock: Clock;
}

/**
 * Runs `first`, and `second` too where `first` has not begun after `afterMs`. The one that begins first goes on, the other is aborted.
 * Resolves when the answer is whole. Rejects with the error of `first` if both fail, or if it fails before the hedge started.
 */
export async function runHedged<T>({ first, second, afterMs, deliver, onWinner, clock }: Hedge<T>): Promise<void> {
  let winner: Contender<T> | undefined;
  let rival: Contender<T> | undefined;
  const race = (contender: Contender<T>): Promise<void> => {
    const early: T[] = [];
    return contender.run(async (part) => {
      early.push(part);
      if (winner === undefined && contender.attempt.hasBegun()) {
        winner = contender;
        onWinner(contender);
        (contender === first ? rival : first)?.cancel.abort();
      }
      if (winner !== contender) return;
      for (const kept of early.splice(0)) await deliver(kept);
    });
  };
  let cancelTimer = () => {};
  const timer = new Promise<'late'>((resolve) => {
    cancelTimer = clock.after(afterMs, () => resolve('late'));
  });
  const runs = [race(first)];
  // A failure is thrown below.
  const early = await Promise.race([runs[0]?.catch(() => 'failed' as const), timer]);
  cancelTimer();
  if (early === 'late' && winner === undefined) {
    rival = second();
    if (rival !== undefined) runs.push(race(rival));
  }
  const results = await Promise.allSettled(runs);
  const result = results[winner === undefined || winner === first ? 0 : 1];
  if (result?.status === 'rejected') throw result.reason;
}
