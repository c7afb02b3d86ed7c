import fc from 'fast-check';

/** Texts that look like something else. */
const tricky = [
  '',
  ' ',
  '\n',
  '"',
  '\\',
  '\\"',
  'é',
  'Привет',
  '日本語',
  '😀',
  // Half a character each: some servers cut one in two.
  '\ud83d',
  '\ude00',
  '\u2028',
  '\u0007',
  '\ufeff',
  '"finish_reason":"stop"',
  '","finish_reason":"stop"}',
  '[DONE]',
  'data: [DONE]\n\n',
  '"error":{"message":"x"}',
  '{"type":"message_stop"}',
  '"usage":{}',
];

export const texts: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }) },
  { weight: 3, arbitrary: fc.constantFrom(...tricky) },
  { weight: 1, arbitrary: fc.string({ maxLength: 300 }) },
);

/** An object as a model writes it for a tool, cut into fragments anywhere. */
export const argumentPieces: fc.Arbitrary<string[]> = fc
  .tuple(
    fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), fc.oneof(texts, fc.integer(), fc.constant(null)), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
    fc.array(fc.nat(1000), { maxLength: 4 }),
    fc.boolean(),
  )
  .map(([value, at, hasEmpty]) => {
    const json = JSON.stringify(value);
    const offsets = [...new Set(at.map((offset) => offset % json.length))].filter((offset) => offset > 0);
    const sorted = [...offsets.sort((a, b) => a - b), json.length];
    const pieces = sorted.map((to, index) => json.slice(sorted[index - 1] ?? 0, to));
    return hasEmpty ? ['', ...pieces] : pieces;
  });

/** Takes from the queues by turns, as `picks` say, and each queue in its order. */
export function interleaved<T>(queues: T[][], picks: number[]): T[] {
  const left = queues.map((queue) => [...queue]).filter((queue) => queue.length > 0);
  const out: T[] = [];
  for (let turn = 0; left.length > 0; turn++) {
    const index = (picks[turn] ?? 0) % left.length;
    const queue = left[index] as T[];
    out.push(queue.shift() as T);
    if (queue.length === 0) left.splice(index, 1);
  }
  return out;
}

/** What an answer says, whatever wire it came over. */
export interface Said {
  text: string;
  reasoning: string;
  calls: SaidCall[];
}

export interface SaidCall {
  id: string;
  name: string;
  input: unknown;
}

/** Calls in an order that does not depend on which of several that come at once begins. */
export function byId(calls: SaidCall[]): SaidCall[] {
  return calls.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}
