import { TRPCClientError } from '@trpc/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { CodelabError, toWireError } from '../errors.ts';
import { fromRpcError, readRpcStream, type StreamObserver } from './rpc-stream.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function open(signal?: AbortSignal) {
  const unsubscribe = vi.fn();
  let observer: StreamObserver<string> | undefined;
  const stream = readRpcStream<string>(
    (given) => {
      observer = given;
      return { unsubscribe };
    },
    {
      signal,
      lostAfterMs: 1_000,
      size: (text) => text.length,
      onOverflow: () => new Error('overflow'),
      unreachable: () => new CodelabError('OVERLOADED', 'unreachable'),
    },
  );
  const first = stream.next();
  return { stream, first, unsubscribe, observer: observer as unknown as StreamObserver<string> };
}

const answered = (data: unknown) => TRPCClientError.from({ error: { message: 'theirs', code: -32603, data } });

it('gives what comes, then ends, and unsubscribes', async () => {
  const { stream, first, unsubscribe, observer } = open();
  observer.onData('a');
  expect(await first).toEqual({ value: 'a', done: false });
  observer.onComplete();
  expect((await stream.next()).done).toBe(true);
  expect(unsubscribe).toHaveBeenCalled();
});

it('waits for a connection that comes back in time, and fails where it does not', async () => {
  const { stream, first, observer } = open();
  observer.onConnectionStateChange({ state: 'connecting' });
  await vi.advanceTimersByTimeAsync(999);
  observer.onConnectionStateChange({ state: 'pending' });
  await vi.advanceTimersByTimeAsync(5_000);
  observer.onData('a');
  expect((await first).value).toBe('a');
  const next = expect(stream.next()).rejects.toThrow('unreachable');
  observer.onConnectionStateChange({ state: 'connecting' });
  observer.onConnectionStateChange({ state: 'idle' });
  await vi.advanceTimersByTimeAsync(1_000);
  await next;
});

it('ends when its signal aborts, and asks for nothing where it has aborted before', async () => {
  const stop = new AbortController();
  const { first, unsubscribe } = open(stop.signal);
  stop.abort();
  expect((await first).done).toBe(true);
  expect(unsubscribe).toHaveBeenCalled();
  const late = open(stop.signal);
  expect((await late.first).done).toBe(true);
  expect(late.observer).toBeUndefined();
});

it('throws what the other end sent', async () => {
  const { first, observer } = open();
  const error = new CodelabError('NOT_FOUND', 'gone', { requestId: 'req_1' });
  observer.onError(answered(toWireError(error, '')));
  await expect(first).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'gone', requestId: 'req_1' });
});

it('tells an answer from a lost connection', () => {
  expect(fromRpcError(answered({ code: 'SOMETHING' }))).toMatchObject({ code: 'INTERNAL' });
  expect(fromRpcError(TRPCClientError.from(new Error('closed')))).toBeUndefined();
  expect(fromRpcError(new Error('closed'))).toBeUndefined();
  const ours = new CodelabError('OVERLOADED');
  expect(fromRpcError(ours)).toBe(ours);
});
