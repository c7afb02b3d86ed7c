import { expect, it } from 'vitest';
import { estimateTextTokens } from './token-estimate.ts';

it.each([
  ['English', 'The quick brown fox jumps over the lazy dog.', 11],
  ['code', 'export const port = Number(process.env.PORT ?? 8000);', 13.25],
  ['Russian', 'Съешь же ещё этих мягких французских булок, да выпей чаю.', 14.25],
  ['Chinese', '今天天气很好，我们去公园散步。', 15 / 1.4],
  ['Japanese', 'こんにちは、カナと漢字です', 13 / 1.4],
  ['Korean', '안녕하세요', 5 / 1.4],
  ['both', 'const 名前 = 1', 10 / 4 + 2 / 1.4],
  ['an emoji', '😀', 0.5],
  ['nothing', '', 0],
])('%s', (_, text, tokens) => expect(estimateTextTokens(text)).toBeCloseTo(tokens, 10));

it('estimates of parts add up', () => {
  const text = 'привет, 世界! '.repeat(100);
  const parts = [...text].reduce((sum, character) => sum + estimateTextTokens(character), 0);
  expect(parts).toBeCloseTo(estimateTextTokens(text), 6);
});

it('every code unit counts as one of a word, or as an ideograph, wherever it stands', () => {
  for (let unit = 0; unit <= 0xffff; unit++) {
    const character = String.fromCharCode(unit);
    const alone = estimateTextTokens(character);
    // Behind an ideograph it is counted, and not searched for.
    expect(estimateTextTokens(`界${character}`) - 1 / 1.4, unit.toString(16)).toBeCloseTo(alone, 10);
  }
});
