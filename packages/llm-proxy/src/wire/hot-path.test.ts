import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { plainNames as names } from '../../../../tests/support/provider-names.ts';
import { anthropicPassthroughRules } from './anthropic/passthrough-rules.ts';
import { matchTemplate, toEventTemplate } from './event-template.ts';
import { spliceJson, withModel } from './json-splice.ts';
import { openAiPassthroughRules } from './openai/passthrough-rules.ts';
import { createPassthrough } from './passthrough.ts';
import { saidCharacters } from './said-characters.ts';
import { createSseFramer } from './sse-framer.ts';

// Canaries of the tricks in README.md: each fails once its trick no longer does what it is for.

const wires = {
  openai: {
    textKey: '"content":"',
    start: { id: 'a', choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] },
    delta: (text: string) => ({ id: 'a', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] }),
    other: { id: 'a', choices: [{ index: 0, delta: { reasoning: 'hm' }, finish_reason: null }] },
    last: { id: 'a', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
    create: () =>
      createPassthrough(openAiPassthroughRules({ hidesUsage: false, choices: 1, opened: new Set() }), names),
  },
  anthropic: {
    textKey: '"text":"',
    start: { type: 'message_start', message: { id: 'a', content: [], usage: { input_tokens: 1, output_tokens: 1 } } },
    delta: (text: string) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
    other: { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm' } },
    last: { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
    create: () => createPassthrough(anthropicPassthroughRules({ opened: new Set() }), names),
  },
};
const packet = (payload: object) => Buffer.from(`data: ${JSON.stringify(payload)}\n\n`);
function expectSameMemory(out: Buffer | string | undefined, sent: Buffer): void {
  if (!Buffer.isBuffer(out)) throw new Error(`${typeof out} in place of the bytes`);
  expect([out.buffer === sent.buffer, out.byteOffset, out.length]).toEqual([true, sent.byteOffset, sent.length]);
}
/** Any text, and often one that JSON escapes. */
const written = fc
  .array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('"', '\\', '\n', '\\"', '\u00e9', '😀', '{', '}')))
  .map((parts) => parts.join(''))
  .filter((text) => text.isWellFormed());

afterEach(() => vi.restoreAllMocks());

describe.each(Object.entries(wires))('%s', (_name, { textKey, start, delta, other, last, create }) => {
  /** A reader that has read the beginning of an answer. */
  const begun = () => {
    const reader = create();
    reader.push(packet(start));
    reader.push(packet(delta('Hello')));
    return reader;
  };

  it('passthrough: an event that need not be parsed is passed on without a copy, and nothing is parsed', () => {
    const reader = begun();
    const parse = vi.spyOn(JSON, 'parse');
    const toText = vi.spyOn(Buffer.prototype, 'toString');
    for (const payload of [delta(' you'), other, delta(' there'), delta('…')]) {
      const sent = packet(payload);
      expectSameMemory(reader.push(sent), sent);
    }
    expect(parse).not.toHaveBeenCalled();
    expect(toText.mock.calls.filter(([encoding]) => encoding !== 'latin1')).toEqual([]);
  });

  it('passthrough: an event that must be parsed is parsed once', () => {
    const reader = begun();
    const parse = vi.spyOn(JSON, 'parse');
    reader.push(packet(last));
    expect(parse).toHaveBeenCalledTimes(1);
  });

  it('event template: an event like the one before is not even made a string', () => {
    const reader = begun();
    reader.push(packet(delta('one')));
    const toText = vi.spyOn(Buffer.prototype, 'toString');
    const sent = packet(delta(' two'));
    expect(reader.push(sent)).toBe(sent);
    expect(toText).not.toHaveBeenCalled();
  });

  it('event template, character count: any text counts as if it were parsed', () => {
    const template = toEventTemplate(packet(delta('x')), textKey);
    if (template === undefined) throw new Error('there is no template');
    fc.assert(
      fc.property(written, (text) => {
        const event = packet(delta(text));
        const count = saidCharacters(event.toString('latin1'));
        const counts = [[...text].length, text.length];
        expect(counts[0]).toBeLessThanOrEqual(count);
        expect(count).toBeLessThanOrEqual(counts[1] as number);
        const matched = matchTemplate(event, template);
        // A quote within the text ends the comparison: the event is inspected.
        if (text.includes('"')) expect([-1, count]).toContain(matched);
        else expect(matched).toBe(count);
      }),
    );
  });

  it('event template: an event that differs in more than its text does not match', () => {
    const template = toEventTemplate(packet(delta('x')), textKey);
    if (template === undefined) throw new Error('there is no template');
    for (const payload of [start, other, last]) expect(matchTemplate(packet(payload), template)).toBe(-1);
    expect(matchTemplate(Buffer.concat([packet(delta('x')), packet(last)]), template)).toBe(-1);
    expect(matchTemplate(packet(delta('x')).subarray(0, -1), template)).toBe(-1);
  });
});

it('character count: parses nothing', () => {
  const parse = vi.spyOn(JSON, 'parse');
  expect(saidCharacters(JSON.stringify(wires.openai.delta('Hello')))).toBe(5);
  expect(parse).not.toHaveBeenCalled();
});

it('SSE framing: a packet that ends with an event is not copied, and cut ones keep their bytes', () => {
  const framer = createSseFramer();
  const first = packet({ first: true });
  expect(framer.push(first)).toEqual(first);
  const whole = packet({ second: true });
  expectSameMemory(framer.push(whole), whole);
  expect(framer.push(whole.subarray(0, 9))).toBeUndefined();
  expect(framer.push(whole.subarray(9))).toEqual(whole);
});

it('JSON splice: serialises the new values alone, and keeps a body whose model has the same name', () => {
  const body = Buffer.from(JSON.stringify({ model: 'a', messages: [{ role: 'user', content: 'x'.repeat(300_000) }] }));
  expect(withModel(body, 'a', 'a')).toBe(body);
  const parse = vi.spyOn(JSON, 'parse');
  const stringify = vi.spyOn(JSON, 'stringify');
  const spliced = withModel(body, 'a', 'b');
  expect(spliced.length).toBe(body.length);
  spliceJson(body, { stream_options: '{"include_usage":true}' });
  for (const [text] of parse.mock.calls) expect(String(text).length).toBeLessThan(100);
  for (const [value] of stringify.mock.calls) expect(typeof value).toBe('string');
});
