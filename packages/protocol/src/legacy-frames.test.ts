import { expect, it } from 'vitest';
import type { NewSessionEvent, SessionEvent } from './event.ts';
import type { Item } from './item.ts';
import { createLegacyFrames, type LegacyFrame } from './legacy-frames.ts';
import { noUsage } from './usage.ts';

const item = (itemId: string, text: string, overrides: Partial<Item> = {}): Item => ({
  itemId,
  runId: 'run1',
  step: 1,
  kind: 'assistant_message',
  text,
  status: 'in_progress',
  createdAt: new Date(0),
  ...overrides,
});
const started = (itemId: string, overrides?: Partial<Item>): NewSessionEvent => ({
  type: 'item.started',
  item: item(itemId, '', overrides),
});
const delta = (itemId: string, text: string, offset: number): NewSessionEvent => ({
  type: 'item.delta',
  itemId,
  text,
  offset,
});
const finished = (overrides: object = {}): NewSessionEvent => ({
  type: 'run.finished',
  runId: 'run1',
  status: 'completed',
  usage: noUsage,
  ...overrides,
});
const delivered: NewSessionEvent = { type: 'input.delivered', inputId: 'in1', runId: 'run1' };
const final = { token: '', is_final: true, type: 'assistant_message' };

function play(events: NewSessionEvent[], options?: { inputId?: string }): LegacyFrame[] {
  const frames = createLegacyFrames(options);
  return events.flatMap((event, seq) => frames.push({ ...event, seq, ts: 0 } as SessionEvent));
}
const textOf = (frames: LegacyFrame[]) => frames.map((frame) => ('token' in frame ? frame.token : '')).join('');

it('turns deltas into tokens and the end into one final frame', () => {
  const frames = play(
    [
      delivered,
      started('a'),
      delta('a', 'Hel', 0),
      delta('a', 'lo', 3),
      { type: 'item.completed', item: item('a', 'Hello') },
      finished(),
    ],
    { inputId: 'in1' },
  );
  expect(frames).toEqual([
    { token: 'Hel', is_final: false, type: 'assistant_message' },
    { token: 'lo', is_final: false, type: 'assistant_message' },
    final,
  ]);
});

it('says neither reasoning, nor the user, nor what other inputs get', () => {
  const frames = play(
    [
      delivered,
      started('r', { kind: 'reasoning' }),
      delta('r', 'Hm', 0),
      started('u', { kind: 'user_message' }),
      started('o', { runId: 'run2' }),
      delta('o', 'other', 0),
      finished({ runId: 'run2' }),
    ],
    { inputId: 'in1' },
  );
  expect(frames).toEqual([]);
});

it('takes what is missing from the whole item', () => {
  const frames = play(
    [delivered, started('a'), delta('a', 'abc', 0), { type: 'item.completed', item: item('a', 'abcdefg') }, finished()],
    { inputId: 'in1' },
  );
  expect(textOf(frames)).toBe('abcdefg');
});

const discarded = (itemId: string): NewSessionEvent => ({ type: 'item.discarded', itemId, reason: 'retried' });

it('an answer that is said again goes on where it was', () => {
  const said = [delivered, started('a'), delta('a', 'abc', 0), discarded('a'), started('b')];
  const frames = play([...said, delta('b', 'ab', 0), delta('b', 'cd', 2), finished()], { inputId: 'in1' });
  expect(textOf(frames)).toBe('abcd');
  expect(frames.at(-1)).toEqual(final);
});

it('an answer that is said otherwise ends in an error, once, and shows no more of itself', () => {
  const said = [delivered, started('a'), delta('a', 'abc', 0), discarded('a'), started('b')];
  const frames = play([...said, delta('b', 'xyz and more', 0), delta('b', ' and more', 12), finished()], {
    inputId: 'in1',
  });
  expect(textOf(frames)).toBe('abc');
  expect(frames.slice(1)).toMatchObject([{ type: 'error', code: 'ANSWER_REPLACED', details: { runId: 'run1' } }]);
});

it('a failure is an error frame, and the only end', () => {
  const error = { code: 'PROVIDER_AUTH', message: 'no', retryable: false, requestId: 'req_1' };
  expect(play([delivered, finished({ status: 'failed', error })], { inputId: 'in1' })).toEqual([
    { type: 'error', content: 'no', code: 'PROVIDER_AUTH', retryable: false, requestId: 'req_1' },
  ]);
});

it('ends for an input that is cancelled before it is delivered', () => {
  expect(play([{ type: 'input.cancelled', inputId: 'in1' }], { inputId: 'in1' })).toMatchObject([
    { type: 'error', code: 'NOT_FOUND' },
  ]);
  expect(play([{ type: 'input.cancelled', inputId: 'other' }], { inputId: 'in1' })).toEqual([]);
});

it('an answer that is over is not said again', () => {
  const again = [delivered, started('a'), { type: 'item.completed' as const, item: item('a', 'Hello') }, finished()];
  expect(play([...again, ...again])).toEqual([{ token: 'Hello', is_final: false, type: 'assistant_message' }, final]);
});
