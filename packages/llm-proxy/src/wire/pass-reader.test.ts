import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { anthropicPassRules } from './anthropic-pass.ts';
import { openAiPassRules } from './openai-pass.ts';
import { createPassReader } from './pass-reader.ts';

const names = { name: 'Provider', keyVariable: 'KEY', urlVariable: 'URL', redact: (text: string) => text };
const folder = new URL('../../../../tests/fixtures/provider-streams/', import.meta.url);
const bytesOf = (file: string, lineEnd = '\n') => {
  const lines = readFileSync(new URL(`${file}.chunks.txt`, folder), 'utf8')
    .trim()
    .split('\n');
  const isAnthropic = file.startsWith('anthropic');
  const events = lines.map((line) => `${isAnthropic ? `event: ${JSON.parse(line).type}\n` : ''}data: ${line}\n\n`);
  return Buffer.from((events.join('') + (isAnthropic ? '' : 'data: [DONE]\n\n')).replaceAll('\n', lineEnd));
};
const readerOf = (file: string, isOpen = false) =>
  createPassReader(
    file.startsWith('anthropic') ? anthropicPassRules() : openAiPassRules({ hidesUsage: false }),
    names,
    isOpen,
  );
const pass = (file: string, packets: Buffer[], isOpen = false) => {
  const reader = readerOf(file, isOpen);
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
const inPackets = (bytes: Buffer, size: number) =>
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
    expect(pass(file, inPackets(bytes, size)).out).toBe(bytes.toString());
  });

  it('passes as it came, cut in two anywhere', () => {
    // All of a short one, and each event's surroundings of a long one.
    const step = bytes.length < 5000 ? 1 : 97;
    for (let cut = 1; cut < bytes.length; cut += step)
      expect(pass(file, [bytes.subarray(0, cut), bytes.subarray(cut)]).out).toBe(bytes.toString());
  });

  it.each(['\r\n', '\r'])('with lines that end with %j means the same', (lineEnd) => {
    const other = bytesOf(file, lineEnd);
    for (const size of [1, 5, 1000, 1e9]) expect(pass(file, inPackets(other, size)).out).toBe(bytes.toString());
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
    const { reader } = pass(file, inPackets(bytes, 500));
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
  const reader = createPassReader(openAiPassRules({ hidesUsage: true }), names, false);
  let out = '';
  for (const text of texts) out += (reader.push(Buffer.from(event(text))) ?? '').toString();
  expect(out).toBe(texts.map(event).join(''));
  expect(reader.isComplete).toBe(false);
  expect(() => reader.end()).toThrow();
});

it('what only opens an answer is left out where the client has had an opening', () => {
  const opening = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n`;
  const text = `data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n`;
  const second = createPassReader(openAiPassRules({ hidesUsage: true }), names, true);
  expect(second.push(Buffer.from(opening + text))?.toString()).toBe(text);
  expect(second.hasBegun).toBe(true);
});
