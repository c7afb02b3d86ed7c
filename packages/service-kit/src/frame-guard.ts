import { CodelabError } from '@codelab/protocol';
import type { SocketLimits } from './socket-limits.ts';

/** A message that says nothing costs as much as so many others: answering it is all that it is for. */
const SENSELESS_COST = 16;
/** One that is refused costs a part of one that is taken: whoever comes back in time is let in. */
const REFUSED_COST = 0.5;
const LEAST_WAIT_MS = 1_000;

/** The error that closes a socket which goes on after it was refused. */
export const flooded = new CodelabError(
  'RATE_LIMITED',
  'Far too many messages came: send fewer, and wait where one is refused.',
);

/** Counts what comes over one socket: a bucket that fills again with time. */
export interface FrameGuard {
  /** Takes `count` messages, or returns why they are not taken now. */
  take(count?: number): CodelabError | undefined;
  /** A message made no sense. */
  senseless(): void;
  /** True once more comes than is worth an answer: the socket is to be closed. */
  readonly isFlooded: boolean;
}

export function createFrameGuard({ burst, perSecond }: SocketLimits, now = () => performance.now()): FrameGuard {
  if (burst === Number.POSITIVE_INFINITY) return { take: () => undefined, senseless: () => {}, isFlooded: false };
  let level = burst;
  let at = now();
  const spend = (cost: number) => {
    const time = now();
    level = Math.min(burst, level + ((time - at) * perSecond) / 1000) - cost;
    at = time;
  };
  return {
    take(count = 1) {
      spend(0);
      if (level >= count) {
        level -= count;
        return undefined;
      }
      level -= count * REFUSED_COST;
      const retryAfterMs = Math.ceil(Math.max(0, count - level) * (1000 / perSecond)) + LEAST_WAIT_MS;
      return new CodelabError(
        'RATE_LIMITED',
        `Too many messages on this socket: ${burst} at once and ${perSecond} a second are taken. Send this one again in ${Math.ceil(retryAfterMs / 1000)} s.`,
        { retryAfterMs },
      );
    },
    senseless: () => spend(SENSELESS_COST),
    get isFlooded() {
      return level < -burst;
    },
  };
}
