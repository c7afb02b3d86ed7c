import { CodelabError } from '@codelab/protocol';
import type { Stop } from './stop.ts';

export interface TimeoutLimits {
  /** How long the provider may take until its first token, between two tokens, and in all. Milliseconds. */
  firstTokenMs: number;
  idleMs: number;
  totalMs: number;
}

/** The clocks of one completion. */
export interface Timeouts {
  /** An attempt begins: its upstream request lives as long as `stop` is not aborted. */
  begin(stop: Stop): void;
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
  const stops = new Set<Stop>();
  let late: string | undefined;
  let isOver = false;
  let hasBegun = false;
  let silence: NodeJS.Timeout | undefined;
  let heardAt = 0;
  const expire = (why: string) => {
    late = why;
    for (const stop of stops) stop.abort();
  };
  /** To note the time of each packet costs less than to set a timer anew. */
  const listen = (forMs: number) => {
    silence = setTimeout(() => {
      const leftMs = heardAt + idleMs - performance.now();
      if (leftMs > 0.5) listen(leftMs);
      else expire(`said nothing more for ${idleMs / 1000} s`);
    }, forMs);
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
      heardAt = performance.now();
      if (hasBegun || !begun) return;
      hasBegun = true;
      clearTimeout(silence);
      listen(idleMs);
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
      return new CodelabError(code, `The provider ${late}.`, { cause: thrown });
    },
    close() {
      clearTimeout(total);
      clearTimeout(silence);
    },
  };
}
