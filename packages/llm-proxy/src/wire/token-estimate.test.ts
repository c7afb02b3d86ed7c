import { expect, it } from 'vitest';
import { estimateInputTokens, toCount } from './token-estimate.ts';

const tokens = (body: object) => estimateInputTokens(body);
const text = 'word'.repeat(1_000);
const message = (content: unknown) => ({ messages: [{ role: 'user', content }] });

it('about four characters a token, wherever they stand', () => {
  for (const body of [
    message(text),
    message([{ type: 'text', text }]),
    { messages: [], system: text },
    { messages: [], tools: [{ function: { name: 'x', parameters: { type: 'object', description: text } } }] },
    { messages: [], tools: [{ function: { name: 'x', parameters: { properties: { [text]: {} } } } }] },
    message([{ type: 'tool_use', id: 'a', name: 'x', input: { [text]: true } }]),
    { messages: [], input: [text] },
  ]) {
    expect(tokens(body)).toBeGreaterThanOrEqual(1_000);
    expect(tokens(body)).toBeLessThan(1_030);
  }
});

it('short texts count together, not each as a token', () => {
  const many = Array.from({ length: 1_000 }, () => ({ type: 'text', text: 'a' }));
  expect(tokens(message(many))).toBeLessThan(3_500);
});

it('tokens that are given as numbers are tokens', () => {
  expect(tokens({ input: [Array(500).fill(7), Array(500).fill(8)] })).toBe(1_000);
});

it('an image costs what an image costs, its words what words cost', () => {
  const data = 'A'.repeat(1_000_000);
  for (const image of [
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data } },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } },
    { type: 'image_url', image_url: data },
  ]) {
    expect(tokens(message([image]))).toBeGreaterThanOrEqual(1_600);
    expect(tokens(message([image]))).toBeLessThan(1_630);
    expect(tokens(message([{ ...image, note: text }]))).toBeGreaterThanOrEqual(2_600);
  }
  const schema = { type: 'image', source: { data: 'x'.repeat(40_000) } };
  expect(tokens({ messages: [], tools: [{ function: { name: 'x', parameters: schema } }] })).toBeGreaterThan(10_000);
});

it('a million levels deep is not too deep', () => {
  let deep: unknown = text;
  for (let level = 0; level < 1_000_000; level++) deep = [deep];
  for (const where of ['messages', 'system', 'tools', 'input']) expect(tokens({ [where]: deep })).toBe(1_000);
});

it.each([
  [7, 7],
  [1.6, 2],
  [0, 0],
  [-5, 0],
  [Number.NaN, 0],
  [Number.POSITIVE_INFINITY, 0],
  ['12', 0],
  [null, 0],
  [undefined, 0],
  [{}, 0],
])("a provider's count of %s is %i", (said, count) => expect(toCount(said)).toBe(count));
