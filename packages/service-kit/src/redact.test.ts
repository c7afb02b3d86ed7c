import { expect, it } from 'vitest';
import { createCensor, createRedactor } from './redact.ts';

const KEY = 'sk-proj-9f8e7d6c5b4a39281706';
const said = (censor: ReturnType<typeof createCensor>, text: string) => censor(Buffer.from(text)).toString();

it('takes out the key and the values of headers, and leaves every other byte as it was', () => {
  const censor = createCensor(KEY, {
    'cf-aig-authorization': 'Bearer gateway-0123',
    'x-other': 'Zq8wLr3vTn5xKp2mHd7s',
  });
  expect(said(censor, `é ${KEY} Bearer gateway-0123 (Zq8wLr3vTn5xKp2mHd7s) 漢 ${KEY}`)).toBe(
    'é [redacted] Bearer [redacted] ([redacted]) 漢 [redacted]',
  );
  const clean = Buffer.from('nothing of it: sk-proj-9f8e7d6c');
  expect(censor(clean)).toBe(clean);
});

it.each([
  ['placeholder', {}, '<input placeholder="x">'],
  ['ollama', {}, 'ollama serve'],
  ['sk-ant-api03-Zq8wLr3vTn5xKp2mHd7s', {}, 'ANTHROPIC_API_KEY=sk-ant-api03-...'],
  [
    undefined,
    { 'HTTP-Referer': 'https://github.com/me/project-2', 'X-Title': 'assistant' },
    'https://github.com/me/project-2',
  ],
  [undefined, { 'x-region': 'us-east-1' }, 'region = "us-east-1"'],
  [undefined, { 'anthropic-beta': 'interleaved-thinking-2025-05-14' }, 'interleaved-thinking-2025-05-14'],
])('an answer is not spoilt by the key %j and the headers %j', (key, headers, text) => {
  expect(said(createCensor(key, headers), text)).toBe(text);
});

const SECRETS = ['Bearer gateway-0123456789', 'p@ss"word/1', 'short', undefined];

it.each([
  ['as it is', 'says gateway-0123456789.', 'says [redacted].'],
  ['as in JSON', 'says "p@ss\\"word/1"', 'says "[redacted]"'],
  ['as in a URL', 'at ?key=p%40ss%22word%2F1&x', 'at ?key=[redacted]&x'],
  ['too short to be one', 'a short text', 'a short text'],
])('takes a secret out of a text: %s', (_, text, wanted) => {
  for (const cutOff of [true, false]) expect(createRedactor(SECRETS, { cutOff })(text)).toBe(wanted);
});

it('finds what is left of a secret only where it is asked to', () => {
  const text = 'wrong key: gateway-01234…';
  expect(createRedactor(SECRETS, { cutOff: true })(text)).toBe('wrong key: [redacted]…');
  expect(createRedactor(SECRETS, { cutOff: false })(text)).toBe(text);
});
