import { expect, it } from 'vitest';
import { createSurrogateJoiner, utf8Length } from './text.ts';

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
