/** Time and timers as a parameter: tests pass a clock that they wind themselves. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `callback` once, after `ms`. Returns a function that cancels the timer. */
  after(ms: number, callback: () => void): () => void;
  /** Calls `callback` each `ms`. Returns a function that cancels the timer. */
  every(ms: number, callback: () => void): () => void;
}

/** The system's time; its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms).unref();
    return () => clearTimeout(timer);
  },
  every(ms, callback) {
    const timer = setInterval(callback, ms).unref();
    return () => clearInterval(timer);
  },
};
