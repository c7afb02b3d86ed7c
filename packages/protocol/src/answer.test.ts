import { describe, expect, it } from 'vitest';
import { createAnswer, createAnswerStream } from './answer.ts';
import type { NewSessionEvent, SessionEvent } from './event.ts';
import type { Item } from './item.ts';

const item = (itemId: string, text: string, kind: Item['kind'] = 'assistant_message'): Item => ({
  itemId,
  runId: 'run1',
  step: 1,
  kind,
  text,
  status: 'completed',
  createdAt: new Date(0),
});
const started = (itemId: string, kind?: Item['kind']): NewSessionEvent => ({
  type: 'item.started',
  item: item(itemId, '', kind),
});
const delta = (itemId: string, text: string): NewSessionEvent => ({ type: 'item.delta', itemId, text, offset: 0 });
const completed = (itemId: string, text: string): NewSessionEvent => ({
  type: 'item.completed',
  item: item(itemId, text),
});
const discarded = (itemId: string): NewSessionEvent => ({ type: 'item.discarded', itemId, reason: 'retried' });

function stream(events: NewSessionEvent[]) {
  const answer = createAnswerStream();
  const shown = events.map((event) => answer.push(event as SessionEvent)).filter((text) => text !== '');
  return { shown, isReplaced: answer.isReplaced, isWhole: answer.isWhole() };
}
function textOf(events: NewSessionEvent[]): string {
  const answer = createAnswer('in1');
  answer.runId = 'run1';
  for (const event of events) answer.push(event as SessionEvent);
  return answer.text();
}

const long = Array.from({ length: 1000 }, (_, n) => `word${n}`).join(' ');
/** `text` in pieces of `size`. */
const pieces = (itemId: string, text: string, size: number): NewSessionEvent[] =>
  Array.from({ length: Math.ceil(text.length / size) }, (_, n) => delta(itemId, text.slice(n * size, (n + 1) * size)));

describe('the text of an answer', () => {
  it('is what its messages say, in their order, without what was taken back', () => {
    expect(
      textOf([
        started('a'),
        delta('a', 'one '),
        started('r', 'reasoning'),
        delta('r', 'hm'),
        started('b'),
        delta('b', 'zwei'),
        discarded('b'),
        started('c'),
        delta('c', 'two'),
        completed('c', 'two!'),
      ]),
    ).toBe('one two!');
  });

  it('is of the run that gets the input, and ends with it', () => {
    const answer = createAnswer('in1');
    const other = (itemId: string): NewSessionEvent => ({
      type: 'item.started',
      item: { ...item(itemId, ''), runId: 'run2' },
    });
    const finished = (runId: string) => ({ type: 'run.finished', runId }) as NewSessionEvent;
    const delivered = (inputId: string, runId: string): NewSessionEvent => ({
      type: 'input.delivered',
      inputId,
      runId,
    });
    const events: Array<[NewSessionEvent, boolean]> = [
      [started('early'), false],
      [delivered('in2', 'run2'), false],
      [delivered('in1', 'run1'), true],
      [started('a'), true],
      [other('b'), false],
      [delta('a', 'mine'), true],
      [delta('b', 'not mine'), false],
      [discarded('b'), false],
      [finished('run2'), false],
      [{ type: 'input.cancelled', inputId: 'in2' }, false],
      [finished('run1'), true],
    ];
    expect(events.map(([event]) => answer.push(event))).toEqual(events.map(([, isOfIt]) => isOfIt));
    expect(answer.text()).toBe('mine');
    expect(answer.runId).toBe('run1');
    expect(createAnswer('in1').push({ type: 'input.cancelled', inputId: 'in1' })).toBe(true);
  });
});

describe('an answer as a stream', () => {
  it('shows each text once', () => {
    const events = [started('a'), delta('a', 'one'), started('b'), delta('b', ' two'), completed('a', 'one')];
    expect(stream([...events, completed('b', ' two three')])).toEqual({
      shown: ['one', ' two', ' three'],
      isReplaced: false,
      isWhole: true,
    });
  });

  it.each([1, 63, 64, 65, 1000])('is compared with what was shown, however it is cut: pieces of %i', (size) => {
    const half = long.slice(0, long.length / 2);
    const before = [started('a'), ...pieces('a', half, 50), discarded('a'), started('b')];
    const { shown, ...rest } = stream([...before, ...pieces('b', long, size)]);
    expect(shown.join('')).toBe(long);
    expect(rest).toEqual({ isReplaced: false, isWhole: true });
  });

  it.each([0, 1, 63, 64, 65, 2000, long.length - 1])('tells a difference at %i, soon', (at) => {
    const other = `${long.slice(0, at)}#${long.slice(at + 1)}`;
    const before = [started('a'), ...pieces('a', long, 50), discarded('a'), started('b')];
    const answer = createAnswerStream();
    for (const event of before) answer.push(event as SessionEvent);
    let read = 0;
    for (const unit of other) {
      answer.push(delta('b', unit) as SessionEvent);
      read++;
      if (answer.isReplaced) break;
    }
    expect(answer.isReplaced).toBe(true);
    expect(read).toBeLessThanOrEqual(at + 64);
  });

  it('is not whole while less is said than was shown', () => {
    const events = [started('a'), delta('a', 'one two'), discarded('a')];
    expect(stream(events).isWhole).toBe(false);
    expect(stream([...events, started('b'), completed('b', 'one')])).toMatchObject({
      isReplaced: false,
      isWhole: false,
    });
    expect(stream([...events, started('b'), completed('b', 'one two')])).toMatchObject({ isWhole: true });
  });

  it('may be taken back several times, and in several parts', () => {
    const first = [started('a'), delta('a', 'one'), started('b'), delta('b', ' two'), discarded('a'), discarded('b')];
    const second = [started('c'), delta('c', 'on'), discarded('c')];
    const third = [started('d'), delta('d', 'one two three')];
    expect(stream([...first, ...second, ...third])).toEqual({
      shown: ['one', ' two', ' three'],
      isReplaced: false,
      isWhole: true,
    });
  });

  it('what is taken back from the middle is a replacement', () => {
    const events = [started('a'), delta('a', 'one'), started('b'), delta('b', ' two'), discarded('a')];
    expect(stream(events).isWhole).toBe(false);
    expect(stream([...events, delta('b', ' three')]).isReplaced).toBe(true);
  });
});
