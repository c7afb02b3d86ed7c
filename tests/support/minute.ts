import { vi } from 'vitest';

const MINUTE_MS = 60_000;

/**
 * Moves this process's clock to the beginning of the next minute, where a count by the minute begins, so that none ends within a test.
 * @returns what puts the clock back.
 */
export function enterNewMinute(): () => void {
  const now = Date.now.bind(Date);
  const ahead = MINUTE_MS - (now() % MINUTE_MS);
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + ahead);
  return () => clock.mockRestore();
}
