import type { Clock } from '../../packages/llm-proxy/src/lib/clock.ts';

export interface FakeClock extends Clock {
  /** Moves time on, and calls the timers that are due on the way, each at its time. */
  wind(ms: number): Promise<void>;
  /** The number of timers that are set. */
  timers(): number;
}

/** Creates a clock that stands still until it is wound. */
export function createFakeClock(start = 1_000_000): FakeClock {
  let now = start;
  const timers = new Set<{ due: number; everyMs: number | undefined; callback: () => void }>();
  const set = (ms: number, everyMs: number | undefined, callback: () => void) => {
    const timer = { due: now + ms, everyMs, callback };
    timers.add(timer);
    return () => {
      timers.delete(timer);
    };
  };
  /** Lets whatever waits for a promise go on. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    now: () => now,
    after: (ms, callback) => set(ms, undefined, callback),
    every: (ms, callback) => set(ms, ms, callback),
    timers: () => timers.size,
    async wind(ms) {
      const until = now + ms;
      await settle();
      for (;;) {
        const [next] = [...timers].filter(({ due }) => due <= until).sort((a, b) => a.due - b.due);
        if (next === undefined) break;
        now = next.due;
        if (next.everyMs === undefined) timers.delete(next);
        else next.due += next.everyMs;
        next.callback();
        await settle();
      }
      now = until;
    },
  };
}
