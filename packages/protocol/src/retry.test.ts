import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { backoff, pause, retry } from './retry.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('tries again after each delay, and returns what came at last', async () => {
  const run = vi.fn();
  run.mockRejectedValueOnce('first').mockRejectedValueOnce('second').mockResolvedValueOnce('answer');
  const delayMs = vi.fn((_: unknown, attempt: number) => backoff(attempt, 100, 1_000));
  const answer = retry(run, { delayMs });
  await vi.advanceTimersByTimeAsync(99);
  expect(run).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(201);
  expect(await answer).toBe('answer');
  expect(delayMs.mock.calls).toEqual([
    ['first', 0],
    ['second', 1],
  ]);
});

it('throws the last error where it is given up', async () => {
  const run = vi.fn().mockRejectedValue('broken');
  await expect(retry(run, { delayMs: () => undefined })).rejects.toBe('broken');
  expect(run).toHaveBeenCalledTimes(1);
});

it.each(['before', 'while it waits'])('begins no attempt once the signal has aborted: %s', async (when) => {
  const stop = new AbortController();
  const run = vi.fn().mockRejectedValue('broken');
  if (when === 'before') stop.abort();
  const answer = expect(retry(run, { delayMs: () => 60_000, signal: stop.signal })).rejects.toBe('broken');
  await vi.advanceTimersByTimeAsync(0);
  stop.abort();
  await answer;
  expect(run).toHaveBeenCalledTimes(1);
  expect(vi.getTimerCount()).toBe(0);
});

it('leaves nothing behind after a pause', async () => {
  const stop = new AbortController();
  const remove = vi.spyOn(stop.signal, 'removeEventListener');
  const paused = pause(10, stop.signal);
  await vi.advanceTimersByTimeAsync(10);
  await paused;
  expect(remove).toHaveBeenCalled();
});

it.each([
  [0, 50],
  [1, 100],
  [4, 800],
  [5, 1_000],
  [2_000, 1_000],
])('attempt %i waits %i ms', (attempt, ms) => expect(backoff(attempt, 50, 1_000)).toBe(ms));
