import { ProviderError } from '../errors/provider-error.ts';
import type { CancelToken } from '../lib/cancel-token.ts';

/** How many times within the idle time it is looked whether there was something new: the timeout is late by at most one of them. */
const LOOKS = 10;

export interface TimeoutLimits {
  /** How long the provider may take until its first token, between two tokens, and in all. Milliseconds. */
  firstTokenMs: number;
  idleMs: number;
  totalMs: number;
}

/** The clocks of one completion. */
export interface Timeouts {
  /** An attempt begins: its upstream request lives as long as `stop` is not aborted. */
  begin(stop: CancelToken): void;
  /** The provider has said something. */
  heard(hasBegun: boolean): void;
  /** The attempt is over, whatever came of it. */
  end(): void;
  /** Whether the time for all attempts is over. */
  readonly isOver: boolean;
  /** What was thrown, as a timeout where a clock is why. */
  explain(thrown: unknown, hasBegun: boolean): unknown;
  /** The completion is over. */
  close(): void;
}

export function createTimeouts({ firstTokenMs, idleMs, totalMs }: TimeoutLimits): Timeouts {
  const stops = new Set<CancelToken>();
  let late: string | undefined;
  let isOver = false;
  let hasBegun = false;
  let silence: NodeJS.Timeout | undefined;
  let heardCount = 0;
  const expire = (why: string) => {
    late = why;
    for (const stop of stops) stop.abort();
  };
  /** Looks whether there was something new: a clock that each packet sets anew would cost more than the packet. */
  const listen = () => {
    let known = heardCount;
    let silentLooks = 0;
    silence = setInterval(() => {
      silentLooks = heardCount === known ? silentLooks + 1 : 0;
      known = heardCount;
      if (silentLooks === LOOKS) expire(`said nothing more for ${idleMs / 1000} s`);
    }, idleMs / LOOKS);
  };
  const total = setTimeout(() => {
    isOver = true;
    expire(`was not done after ${totalMs / 1000} s`);
  }, totalMs);
  return {
    begin(stop) {
      stops.add(stop);
      if (silence !== undefined) return;
      hasBegun = false;
      silence = setTimeout(() => expire(`said nothing for ${firstTokenMs / 1000} s`), firstTokenMs);
    },
    heard(begun) {
      heardCount++;
      if (hasBegun || !begun) return;
      hasBegun = true;
      clearTimeout(silence);
      listen();
    },
    end() {
      stops.clear();
      clearTimeout(silence);
      silence = undefined;
      if (!isOver) late = undefined;
    },
    get isOver() {
      return isOver;
    },
    explain(thrown, begun) {
      if (late === undefined) return thrown;
      const code = begun ? 'PROVIDER_STREAM_LOST' : 'PROVIDER_UNAVAILABLE';
      return new ProviderError(code, `The provider ${late}`, { cause: thrown });
    },
    close() {
      clearTimeout(total);
      clearTimeout(silence);
    },
  };
}
