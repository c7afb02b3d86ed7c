import { expect, it } from 'vitest';
import { createLiveStep } from './live-step.ts';
import { formatPosition, parsePosition } from './position.ts';

it('names the event, the items of the step that were begun, and how far those were read that are not over', () => {
  const live = createLiveStep({ id: 'abc', runId: 'run', step: 1, onChange() {} });
  live.open('reasoning', {});
  live.add(0, 'hm');
  live.seal(0);
  live.open('assistant_message', {});
  live.add(1, 'hello');
  live.open('tool_call', { name: 'x' });
  const shown = new Map([
    ['item_abc.0', { length: 2 }],
    ['item_abc.1', { length: 3 }],
    ['call_abc.2', { length: 0 }],
  ]);
  const position = formatPosition({ log: 'l', seq: 12 }, live, shown);
  expect(position).toBe('l-12~abc~i2c1~1:3,2:0');
  expect(parsePosition(position)).toEqual({
    log: 'l',
    seq: 12,
    step: {
      id: 'abc',
      shown: new Map([
        ['item_abc.0', { length: Number.POSITIVE_INFINITY }],
        ['item_abc.1', { length: 3 }],
        ['call_abc.2', { length: 0 }],
      ]),
    },
  });
});

it('is the number alone where nothing is being said', () => {
  const live = createLiveStep({ id: 'abc', runId: 'run', step: 1, onChange() {} });
  expect(formatPosition({ log: 'l', seq: 7 })).toBe('l-7');
  expect(formatPosition({ log: 'l', seq: 7 }, live)).toBe('l-7');
  expect(parsePosition('l-7')).toEqual({ log: 'l', seq: 7 });
});

it('fits into a cursor however many calls a step makes', () => {
  const live = createLiveStep({ id: 'a'.repeat(25), runId: 'run', step: 1, onChange() {} });
  const shown = new Map<string, { length: number }>();
  for (let index = 0; index < 500; index++) {
    live.open('tool_call', { name: 'x' });
    live.add(index, 'x'.repeat(1_000));
    shown.set(`call_${'a'.repeat(25)}.${index}`, { length: 1_000 });
  }
  const position = formatPosition({ log: 'm0mwz2abc', seq: 2 ** 49 }, live, shown);
  expect(position.length).toBeLessThanOrEqual(200);
  expect(parsePosition(position)?.step?.shown.size).toBe(500);
});

it.each(['', 'rubbish', '7', 'l-1~', 'l-1~a', '-1', 'l-1~a~x1~', 'UPPER-3'])('%j is none', (text) => {
  expect(parsePosition(text)).toBeUndefined();
});
