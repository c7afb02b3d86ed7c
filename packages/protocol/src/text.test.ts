import { expect, it } from 'vitest';
import { createSurrogateJoiner, utf8Length, wholeEnd, wholePart } from './text.ts';

it.each(['', 'abc', 'Привет', '你好', '👩‍🚀', 'a\ud83d', '\ude00b', '\ud83d\ud83d\ude00', 'mixed é ж 你 😀'])(
  'utf8Length(%j) is what UTF-8 takes',
  (text) => {
    expect(utf8Length(text)).toBe(Buffer.byteLength(text));
  },
);

it('puts every text together again, however it is split, without ever showing half a character', () => {
  const text = 'a😀b👩‍🚀я🇺🇦';
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      const joiner = createSurrogateJoiner();
      const shown = [text.slice(0, first), text.slice(first, second), text.slice(second)].map((part) =>
        joiner.push(part),
      );
      shown.push(joiner.flush());
      expect(shown.join('')).toBe(text);
      expect(shown.every((part) => part.isWellFormed())).toBe(true);
    }
  }
});

it('parts no character', () => {
  const text = 'a😀b\ud83d';
  expect([0, 1, 2, 3, 4, 5].map((end) => wholeEnd(text, end))).toEqual([0, 1, 1, 3, 4, 5]);
  expect(wholePart(text, 0, 2)).toBe('a😀');
  expect(wholePart(text, 2)).toBe('😀b\ud83d');
  expect(wholePart(text, 2, 2)).toBe('😀');
  expect(wholePart(text, 3, 4)).toBe('b');
});
