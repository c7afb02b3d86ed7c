import { setTimeout as pause } from 'node:timers/promises';
import { BoundedMap, CodelabError } from '@codelab/protocol';

/** Wrong keys that are answered at once, and in all; one is forgotten each second. */
const FREE = 10;
const MOST = 100;
const FORGOTTEN_PER_MS = 1 / 1000;
const DELAY_MS = 10;
const MAX_DELAY_MS = 1_000;
/** The most addresses that are remembered, and the most callers that wait. */
const MAX_ADDRESSES = 10_000;
const MAX_WAITING = 512;

/** Makes guessing keys slow: each address has its own count, and the right key is never delayed. */
export interface Attempts {
  /** Counts a wrong key from `address`. Resolves, after a pause that grows, with `refusal`, or with another error where there were too many. */
  failed(address: string, refusal: CodelabError): Promise<CodelabError>;
}

export interface AttemptsOptions {
  /** Returns the time in milliseconds. @default performance.now */
  now?: () => number;
  sleep?: (ms: number) => Promise<unknown>;
}

export function createAttempts({ now = () => performance.now(), sleep = pause }: AttemptsOptions = {}): Attempts {
  /** In order of use. */
  const counts = new BoundedMap<string, { count: number; at: number }>(MAX_ADDRESSES);
  let waiting = 0;
  return {
    async failed(address, refusal) {
      const name = networkOf(address);
      const known = counts.get(name);
      const at = now();
      const left = known === undefined ? 0 : Math.max(0, known.count - (at - known.at) * FORGOTTEN_PER_MS);
      const count = Math.min(left + 1, MOST * 1.5);
      counts.delete(name);
      counts.set(name, { count, at });

      const isOver = count > MOST || waiting >= MAX_WAITING;
      const delayMs = Math.min(MAX_DELAY_MS, Math.max(0, Math.floor(count - FREE)) * DELAY_MS);
      if (delayMs > 0 && waiting < MAX_WAITING) {
        waiting++;
        await sleep(delayMs);
        waiting--;
      }
      if (!isOver) return refusal;
      const retryAfterMs = Math.ceil(Math.max(1, count - MOST) / FORGOTTEN_PER_MS);
      return new CodelabError(
        'RATE_LIMITED',
        `Too many wrong keys came from this address: try again in ${Math.ceil(retryAfterMs / 1000)} s. The right key is let in at any time.`,
        { retryAfterMs },
      );
    },
  };
}

/** A caller with IPv6 has a whole network of addresses. */
function networkOf(address: string): string {
  return address.includes(':') && !address.startsWith('::') ? address.split(':').slice(0, 4).join(':') : address;
}
