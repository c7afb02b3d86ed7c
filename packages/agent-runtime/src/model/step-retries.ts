import type { WireError } from '@codelab/protocol';

/** The step fails once a service is out of reach for so long. */
const OUT_OF_REACH_MS = 30_000;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 8_000;
/** The limit of all attempts of one step. */
const MAX_ATTEMPTS = 100;

/** Decides whether a step whose answer broke off is asked again. */
export interface StepRetries {
  /** Returns how long to wait before the next attempt, or undefined where there is none. `length`: how much of the answer had come. */
  next(error: WireError, length: number): number | undefined;
}

/**
 * Bounds the attempts of one step: `limit` that did not get on in a row. An attempt gets on where more of the answer came than before,
 * or where it ended with llm-proxy's own restart after some of it had come.
 */
export function createStepRetries(limit: number, now: () => number = Date.now): StepRetries {
  let attempts = 0;
  let wasted = 0;
  let longest = 0;
  let awaySince: number | undefined;
  return {
    next(error, length) {
      if (limit === 0 || ++attempts >= MAX_ATTEMPTS) return undefined;
      if (error.code === 'OVERLOADED') {
        awaySince ??= now();
        if (now() - awaySince >= OUT_OF_REACH_MS) return undefined;
        return error.retryAfterMs ?? FIRST_PAUSE_MS;
      }
      awaySince = undefined;
      // llm-proxy has retried by itself; an answer that had begun is worth another attempt.
      const isWorthIt = error.code === 'PROVIDER_STREAM_LOST' || (error.code === 'PROVIDER_UNAVAILABLE' && longest > 0);
      if (!isWorthIt) return undefined;
      const gotOn = length > longest || (length > 0 && isLostByProxy(error));
      longest = Math.max(longest, length);
      wasted = gotOn ? 0 : wasted + 1;
      if (wasted > limit) return undefined;
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** wasted, MAX_PAUSE_MS);
      return Math.max(pauseMs, Math.min(error.retryAfterMs ?? 0, OUT_OF_REACH_MS));
    },
  };
}

function isLostByProxy({ details }: WireError): boolean {
  return (details as { lostBy?: unknown } | undefined)?.lostBy === 'llm-proxy';
}
