import { MAX_TIMER_MS } from '@codelab/service-kit';

/** Returns the milliseconds until a moment, within what a timer takes. */
export function timerMs(at: number): number {
  return Math.min(Math.max(at - Date.now(), 0), MAX_TIMER_MS);
}
