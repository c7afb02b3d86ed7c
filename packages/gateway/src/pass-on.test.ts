import { CodelabError, type SessionEvent } from '@codelab/protocol';
import { toTail } from '@codelab/service-kit';
import { expect, it, vi } from 'vitest';
import { passOn, toTracked } from './pass-on.ts';

const delta = (offset: number, text: string, itemId = 'i') =>
  toTail(String(offset), { type: 'item.delta', itemId, text, offset, seq: 1, ts: 0 });
const synced = toTail('s', { type: 'stream.synced', state: 'idle', queued: 0, seq: 1, ts: 0 });

function makeSink() {
  const sent: string[] = [];
  let settle: { resolve(): void; reject(error: Error): void } | undefined;
  const sink = {
    isFull: false,
    send: (tail: string) => void sent.push(tail),
    drained: () =>
      new Promise<void>((resolve, reject) => {
        if (sink.isFull) settle = { resolve, reject };
        else resolve();
      }),
  };
  return {
    sent,
    sink,
    texts: () => sent.map((tail) => (toTracked(tail).event as Extract<SessionEvent, { type: 'item.delta' }>).text),
    drain() {
      sink.isFull = false;
      settle?.resolve();
    },
    fill() {
      sink.isFull = true;
    },
    stall: (error: Error) => settle?.reject(error),
  };
}
const tooSlow = () => new CodelabError('OVERLOADED', 'too slow');
const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

/** Follows what `push` is called with, until it is left. */
function follow() {
  let push: (tail: string) => void = () => {};
  const left = vi.fn();
  return {
    left,
    push: (tail: string) => push(tail),
    async run(onTail: (tail: string) => void, signal: AbortSignal) {
      push = onTail;
      await untilAborted(signal);
      left();
    },
  };
}

it('sends each event at once, as the text that it came as', async () => {
  const { sent, sink } = makeSink();
  await passOn(
    async (onTail) => {
      onTail(delta(0, 'a'));
      expect(sent).toHaveLength(1);
      onTail(synced);
    },
    { sink, signal: undefined, tooSlow },
  );
  expect(sent).toEqual([delta(0, 'a'), synced]);
});

it('lets deltas merge while the reader takes none, keeps their order, and ends once all are sent', async () => {
  const { sink, texts, fill, drain } = makeSink();
  fill();
  const passing = passOn(
    async (onTail) => {
      for (const [offset, text] of [...'abc'].entries()) onTail(delta(offset, text));
      onTail(delta(9, 'z'));
      onTail(delta(0, 'x', 'other'));
    },
    { sink, signal: undefined, tooSlow },
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(texts()).toEqual([]);
  drain();
  await passing;
  expect(texts()).toEqual(['abc', 'z', 'x']);
});

it('is as before once the reader has caught up', async () => {
  const { sink, texts, fill, drain } = makeSink();
  const { push, run } = follow();
  const stop = new AbortController();
  const passing = passOn(run, { sink, signal: stop.signal, tooSlow });
  fill();
  push(delta(0, 'a'));
  push(delta(1, 'b'));
  drain();
  await vi.waitFor(() => expect(texts()).toEqual(['ab']));
  await new Promise((resolve) => setImmediate(resolve));
  push(delta(2, 'c'));
  expect(texts()).toEqual(['ab', 'c']);
  stop.abort();
  await passing;
});

it('cuts off a reader for which more than 4 MiB wait, and holds none of it', async () => {
  const { sink, sent, fill } = makeSink();
  fill();
  const { push, run, left } = follow();
  const passing = passOn(run, { sink, signal: undefined, tooSlow });
  const large = 'x'.repeat(1024 * 1024);
  for (let at = 0; at < 3 && left.mock.calls.length === 0; at++) push(delta(at * large.length, large));
  push(delta(0, 'late'));
  await expect(passing).rejects.toThrow('too slow');
  expect(left).toHaveBeenCalled();
  expect(sent).toEqual([]);
});

it('fails as the sink does, and leaves the subscription', async () => {
  const { sink, fill, stall } = makeSink();
  fill();
  const { push, run, left } = follow();
  const passing = passOn(run, { sink, signal: undefined, tooSlow });
  push(delta(0, 'a'));
  stall(new Error('it took nothing'));
  await expect(passing).rejects.toThrow('it took nothing');
  expect(left).toHaveBeenCalled();
});

it('fails as the subscription does', async () => {
  const { sink } = makeSink();
  const failing = passOn(() => Promise.reject(new CodelabError('NOT_FOUND', 'no such session')), {
    sink,
    signal: undefined,
    tooSlow,
  });
  await expect(failing).rejects.toThrow('no such session');
});
