import { ProviderError } from '../errors/provider-error.ts';
import type { CancelToken } from '../lib/cancel-token.ts';
import type { Clock } from '../lib/clock.ts';

/** Checks for activity within one idle time: the idle timeout fires late by one of them at most. */
const CHECKS = 10;

export interface TimeoutLimits {
  /** Time until the provider's first token. Milliseconds. */
  firstTokenMs: number;
  /** Time between two packets of the provider. Milliseconds. */
  idleMs: number;
  /** Time for the whole completion, retries included. Milliseconds. */
  totalMs: number;
}

/** The timeouts of one completion. */
export interface Timeouts {
  /** Starts an attempt: a timeout aborts `cancel`. */
  begin(cancel: CancelToken): void;
  /** Records that the provider has sent something. `hasBegun`: the answer itself has begun. */
  onActivity(hasBegun: boolean): void;
  /** Ends the attempt, however it went. */
  end(): void;
  /** True once the total time has passed. */
  readonly isOver: boolean;
  /** Returns the timeout that made an attempt throw `thrown`, or `thrown` itself. */
  explain(thrown: unknown, hasBegun: boolean): unknown;
  /** Ends the completion: cancels all timers. */
  close(): void;
}

const noTimer = () => {};

export function createTimeouts({ firstTokenMs, idleMs, totalMs }: TimeoutLimits, clock: Clock): Timeouts {
  const tokens = new Set<CancelToken>();
  let expired: string | undefined;
  let isOver = false;
  let hasBegun = false;
  let isWaiting = false;
  let cancelSilence = noTimer;
  let activityCount = 0;
  const expire = (reason: string) => {
    expired = reason;
    for (const cancel of tokens) cancel.abort();
  };
  /** Polls for activity: resetting a timer for each packet would cost more than the packet. */
  const watchActivity = () => {
    let knownCount = activityCount;
    let idleChecks = 0;
    cancelSilence = clock.every(idleMs / CHECKS, () => {
      idleChecks = activityCount === knownCount ? idleChecks + 1 : 0;
      knownCount = activityCount;
      if (idleChecks === CHECKS) expire(`said nothing more for ${idleMs / 1000} s`);
    });
  };
  const cancelTotal = clock.after(totalMs, () => {
    isOver = true;
    expire(`was not done after ${totalMs / 1000} s`);
  });
  return {
    begin(cancel) {
      tokens.add(cancel);
      if (isWaiting) return;
      isWaiting = true;
      hasBegun = false;
      cancelSilence = clock.after(firstTokenMs, () => expire(`said nothing for ${firstTokenMs / 1000} s`));
    },
    onActivity(begun) {
      activityCount++;
      if (hasBegun || !begun) return;
      hasBegun = true;
      cancelSilence();
      watchActivity();
    },
    end() {
      tokens.clear();
      cancelSilence();
      isWaiting = false;
      if (!isOver) expired = undefined;
    },
    get isOver() {
      return isOver;
    },
    explain(thrown, begun) {
      if (expired === undefined) return thrown;
      const code = begun ? 'PROVIDER_STREAM_LOST' : 'PROVIDER_UNAVAILABLE';
      return new ProviderError(code, `The provider ${expired}`, { cause: thrown });
    },
    close() {
      cancelTotal();
      cancelSilence();
    },
  };
}
