import type { CancelToken } from '../lib/cancel-token.ts';
import type { Route } from '../routing/model-router.ts';
import type { Attempt, Deliver } from './attempt.ts';

/** An attempt that is about to run. */
export interface Contender<T> {
  route: Route;
  attempt: Attempt<T>;
  stop: CancelToken;
  /** Runs the attempt. */
  run(deliver: Deliver<T>): Promise<void>;
}

export interface Race<T> {
  first: Contender<T>;
  /** Makes the second one, if there may be one now. */
  second: () => Contender<T> | undefined;
  /** How long the first one may take to begin. Milliseconds. */
  afterMs: number;
  deliver: Deliver<T>;
  /** Told who goes on, as soon as that is clear. */
  won: (winner: Contender<T>) => void;
}

/**
 * Hedged requests: where `first` has not begun after `afterMs`, `second` is asked too, and whichever begins first goes on; the other's
 * request is aborted. Resolves when the answer is whole. Rejects with what `first` rejects with, if both fail, or if it fails before the
 * second was asked.
 */
export async function runHedged<T>({ first, second, afterMs, deliver, won }: Race<T>): Promise<void> {
  let winner: Contender<T> | undefined;
  let rival: Contender<T> | undefined;
  const enter = (contender: Contender<T>): Promise<void> => {
    const early: T[] = [];
    return contender.run(async (part) => {
      early.push(part);
      if (winner === undefined && contender.attempt.hasBegun()) {
        winner = contender;
        won(contender);
        (contender === first ? rival : first)?.stop.abort();
      }
      if (winner !== contender) return;
      for (const kept of early.splice(0)) await deliver(kept);
    });
  };
  const runs: Array<Promise<void>> = [];
  const timer = { due: undefined as NodeJS.Timeout | undefined };
  const waited = new Promise<'late'>((resolve) => {
    timer.due = setTimeout(resolve, afterMs, 'late');
  });
  const firstRun = enter(first);
  runs.push(firstRun);
  // A failure is told below.
  const early = await Promise.race([firstRun.catch(() => 'failed' as const), waited]);
  clearTimeout(timer.due);
  if (early === 'late' && winner === undefined) {
    rival = second();
    if (rival !== undefined) runs.push(enter(rival));
  }
  const results = await Promise.allSettled(runs);
  const index = winner === undefined || winner === first ? 0 : 1;
  const result = results[index];
  if (result?.status === 'rejected') throw result.reason;
}
