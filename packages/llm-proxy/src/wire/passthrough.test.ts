import { readFileSync } from 'node:fs';
import { createCensor } from '@codelab/service-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anthropicAnswers } from '../../../../tests/support/answers/anthropic.ts';
import { openAiAnswers } from '../../../../tests/support/answers/openai.ts';
import { holds } from '../../../../tests/support/answers/property.ts';
import { cuts, inPackets, type SseEvent, styles, writeEvents } from '../../../../tests/support/answers/sse.ts';
import { plainNames as names } from '../../../../tests/support/provider-names.ts';
import { anthropicPassthroughRules } from './anthropic/passthrough-rules.ts';
import { type OpenAiPassthroughOptions, openAiPassthroughRules } from './openai/passthrough-rules.ts';
import { createPassthrough } from './passthrough.ts';

const openAi = (options: Partial<OpenAiPassthroughOptions> = {}) =>
  createPassthrough(openAiPassthroughRules({ hidesUsage: false, choices: 1, opened: new Set(), ...options }), names);
const folder = new URL('../../../../tests/fixtures/provider-streams/', import.meta.url);
const bytesOf = (file: string, lineEnd = '\n') => {
  const lines = readFileSync(new URL(`${file}.chunks.txt`, folder), 'utf8')
    .trim()
    .split('\n');
  const isAnthropic = file.startsWith('anthropic');
  const events = lines.map((line) => `${isAnthropic ? `event: ${JSON.parse(line).type}\n` : ''}data: ${line}\n\n`);
  return Buffer.from((events.join('') + (isAnthropic ? '' : 'data: [DONE]\n\n')).replaceAll('\n', lineEnd));
};
const readerOf = (file: string) =>
  file.startsWith('anthropic') ? createPassthrough(anthropicPassthroughRules({ opened: new Set() }), names) : openAi();
const pass = (file: string, packets: Buffer[]) => {
  const reader = readerOf(file);
  let out = '';
  for (const packet of packets) {
    if (reader.isComplete) break;
    const part = reader.push(packet);
    if (part !== undefined) out += part.toString();
    if (reader.failure !== undefined) throw reader.failure;
  }
  if (!reader.isComplete) out += reader.end() ?? '';
  if (reader.failure !== undefined) throw reader.failure;
  return { out, reader };
};
const everyBytes = (bytes: Buffer, size: number) =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );

describe.each([
  'anthropic-text',
  'anthropic-tool-no-args',
  'anthropic-json-tool.1',
  'mistral-tool-call',
  'deepseek-tool-call',
  'deepseek-reasoning',
  'openai-text',
])('%s', (file) => {
  const bytes = bytesOf(file);

  it.each([1, 2, 3, 7, 100, 255, 4096, 1e9])('passes as it came in packets of %i bytes', (size) => {
    expect(pass(file, everyBytes(bytes, size)).out).toBe(bytes.toString());
  });

  it('passes as it came, cut in two anywhere', () => {
    // All of a short one, and each event's surroundings of a long one.
    const step = bytes.length < 5000 ? 1 : Math.ceil(bytes.length / 250);
    for (let cut = 1; cut < bytes.length; cut += step)
      expect(pass(file, [bytes.subarray(0, cut), bytes.subarray(cut)]).out).toBe(bytes.toString());
  });

  it.each(['\r\n', '\r'])('with lines that end with %j means the same', (lineEnd) => {
    const other = bytesOf(file, lineEnd);
    for (const size of [1, 5, 1000, 1e9]) expect(pass(file, everyBytes(other, size)).out).toBe(bytes.toString());
  });

  it('cut short is lost, never finished, and only whole events have passed', () => {
    const end = bytes.lastIndexOf(file.startsWith('anthropic') ? '"stop_reason":"' : '"finish_reason":"');
    for (const kept of [10, Math.floor(bytes.length / 3), end - 200]) {
      const reader = readerOf(file);
      const out = (reader.push(bytes.subarray(0, kept)) ?? '').toString();
      expect(out === '' || out.endsWith('\n\n')).toBe(true);
      expect(() => reader.end()).toThrow(expect.objectContaining({ code: 'PROVIDER_STREAM_LOST' }));
    }
  });

  it('has its usage, and about its usage when it is cut', () => {
    const { reader } = pass(file, everyBytes(bytes, 500));
    const exact = reader.usage(() => 7);
    const half = readerOf(file);
    half.push(bytes.subarray(0, bytes.length / 2));
    const about = half.usage(() => 7);
    expect(about.isEstimated).toBe(true);
    expect(about.outputTokens).toBeGreaterThanOrEqual(0);
    if (!exact.isEstimated) expect(exact.outputTokens).toBeGreaterThan(0);
  });
});

it('a text that looks like more than text is looked at', () => {
  const event = (content: string) =>
    `data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;
  const texts = [
    'a',
    'b',
    '"',
    '\\',
    'data: [DONE]',
    '"finish_reason":"stop"',
    '[DONE]\n\n',
    '"usage":{}',
    '"error":{}',
    'é😀',
    '',
    'c',
  ];
  const reader = openAi({ hidesUsage: true });
  let out = '';
  for (const text of texts) out += (reader.push(Buffer.from(event(text))) ?? '').toString();
  expect(out).toBe(texts.map(event).join(''));
  expect(reader.isComplete).toBe(false);
  expect(() => reader.end()).toThrow();
});

it('what only opens an answer is left out where the client has had an opening', () => {
  const opening = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n`;
  const text = `data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n`;
  const second = openAi({ hidesUsage: true, opened: new Set([0]) });
  expect(second.push(Buffer.from(opening + text))?.toString()).toBe(text);
  expect(second.hasBegun).toBe(true);
});

describe('whatever the answer and its packets', () => {
  const rules = {
    openai: (choices: number) => openAi({ choices }),
    anthropic: () => createPassthrough(anthropicPassthroughRules({ opened: new Set() }), names),
  };
  const examples = fc.record({
    wire: fc.constantFrom('openai' as const, 'anthropic' as const),
    style: styles,
    where: cuts,
    openAi: openAiAnswers,
    anthropic: anthropicAnswers,
  });
  type Example = typeof examples extends fc.Arbitrary<infer T> ? T : never;
  const packetsOf = ({ wire, style, where, openAi: one, anthropic: other }: Example) =>
    inPackets(writeEvents((wire === 'openai' ? one : other).events, style), where);
  const readerFor = ({ wire, openAi: { choices } }: Example) => rules[wire](choices);

  it('its events pass with all their bytes', () =>
    holds(examples, (example) => {
      const reader = readerFor(example);
      const parts: string[] = [];
      const packets = packetsOf(example);
      for (const packet of packets) {
        if (reader.isComplete) break;
        parts.push((reader.push(packet) ?? '').toString());
      }
      if (!reader.isComplete) parts.push((reader.end() ?? '').toString());
      const inLines = (text: string) =>
        text
          .replace(/^\ufeff/, '')
          .replace(/\r\n?/g, '\n')
          .split('\n')
          .filter((line) => /^(data|event):/.test(line));
      const sent = inLines(Buffer.concat(packets).toString()).filter((line) => !/^data: *\[DONE]/.test(line));
      expect(inLines(parts.join('')).slice(0, sent.length)).toEqual(sent);
    }));

  it('its characters are counted, if it is cut, within what a character may be', () =>
    // No server escapes letters in names: those alone would not be counted.
    holds(
      examples.filter(({ style }) => style.escapes !== 'underscores'),
      (example) => {
        const reader = readerFor(example);
        for (const packet of packetsOf(example)) if (!reader.isComplete) reader.push(packet);
        const { outputTokens, isEstimated } = reader.usage(() => 0);
        if (!isEstimated) return;
        const text = saidIn((example.wire === 'openai' ? example.openAi : example.anthropic).events);
        const floor = Math.ceil([...text].length / 4);
        expect(outputTokens).toBeGreaterThanOrEqual(floor);
        const counted = example.wire === 'openai' ? (example.openAi.usage?.completion_tokens ?? 0) : 999;
        expect(outputTokens).toBeLessThanOrEqual(Math.max(Math.ceil(text.length / 4), counted));
      },
    ));
});

describe('the key', () => {
  const key = 'sk-proj-9f8e7d6c5b4a39281706';
  const event = (content: string) => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
  const texts = [event('Hello'), event(' you'), event(`so: ${key}.`), `: ${key}\n\n`, event(' all')].join('');
  const bytes = Buffer.from(`${texts}data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n`);

  const passed = (packets: Buffer[]) => {
    const rules = openAiPassthroughRules({ hidesUsage: false, choices: 1, opened: new Set() });
    const reader = createPassthrough(rules, { ...names, censor: createCensor(key, {}) });
    const parts = packets.map((packet) => reader.push(packet)?.toString() ?? '');
    return parts.join('') + (reader.end() ?? '');
  };
  const wanted = `${bytes.toString().replaceAll(key, '[redacted]')}data: [DONE]\n\n`;

  it('is taken out wherever the packets are cut', () => {
    for (let cut = 0; cut <= bytes.length; cut++)
      expect(passed([bytes.subarray(0, cut), bytes.subarray(cut)])).toBe(wanted);
    for (const size of [1, 7, 30]) expect(passed(everyBytes(bytes, size))).toBe(wanted);
  });

  it('is taken out of events that come one a packet', () => {
    const events = bytes.toString().match(/.+\n\n/g) ?? [];
    expect(passed(events.map((text) => Buffer.from(text)))).toBe(wanted);
  });
});

/** All that the deltas of a stream say. */
function saidIn(events: SseEvent[]): string {
  const names = ['content', 'reasoning_content', 'reasoning', 'arguments', 'text', 'thinking', 'partial_json'];
  const walk = (value: unknown): string => {
    if (typeof value !== 'object' || value === null) return '';
    return Object.entries(value)
      .map(([name, member]) => (typeof member === 'string' ? (names.includes(name) ? member : '') : walk(member)))
      .join('');
  };
  return events.map(({ data }) => walk(data)).join('');
}
