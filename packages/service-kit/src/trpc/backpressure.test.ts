import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { createSocketBackpressure } from './backpressure.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function fakeSocket(bufferedAmount: number) {
  return Object.assign(new EventEmitter(), {
    OPEN: 1,
    readyState: 1,
    bufferedAmount,
    close: vi.fn(),
    terminate: vi.fn(),
  });
}
const MiB = 1024 * 1024;

it('does not wait for a reader that keeps up', () => {
  expect(createSocketBackpressure(fakeSocket(MiB) as unknown as WebSocket).writable()).toBeUndefined();
});

it('waits until less than 1 MiB is waiting', async () => {
  const socket = fakeSocket(3 * MiB);
  const waiting = createSocketBackpressure(socket as unknown as WebSocket).writable();
  const settled = vi.fn();
  waiting?.then(settled);
  await vi.advanceTimersByTimeAsync(1000);
  expect(settled).not.toHaveBeenCalled();
  socket.bufferedAmount = MiB;
  await vi.advanceTimersByTimeAsync(100);
  expect(settled).toHaveBeenCalled();
});

it('cuts off a reader that takes nothing for 30 s, and not one that takes little', async () => {
  const slow = fakeSocket(10 * MiB);
  const dead = fakeSocket(10 * MiB);
  const refused = vi.fn();
  createSocketBackpressure(slow as unknown as WebSocket)
    .writable()
    ?.catch(refused);
  const gaveUp = vi.fn();
  createSocketBackpressure(dead as unknown as WebSocket)
    .writable()
    ?.catch(gaveUp);
  for (let seconds = 0; seconds < 60; seconds += 10) {
    slow.bufferedAmount -= 1000;
    await vi.advanceTimersByTimeAsync(10_000);
  }
  expect(refused).not.toHaveBeenCalled();
  expect(gaveUp).toHaveBeenCalled();
  expect(dead.close).toHaveBeenCalledWith(1013, expect.any(String));
  expect(dead.terminate).toHaveBeenCalled();
});

it('stops waiting when the reader is gone', async () => {
  const socket = fakeSocket(3 * MiB);
  const waiting = createSocketBackpressure(socket as unknown as WebSocket).writable();
  socket.readyState = 3;
  await vi.advanceTimersByTimeAsync(100);
  await waiting;
});
