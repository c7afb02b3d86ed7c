import { expect, it } from 'vitest';
import { toToolAnswer } from './mcp-result.ts';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const image = { type: 'image', mimeType: 'image/png', data: PNG };
const blob = (mimeType: string, text: string) => ({
  type: 'resource',
  resource: { uri: 'x:a', mimeType, blob: Buffer.from(text).toString('base64') },
});

it.each([
  [
    'texts',
    [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ],
    undefined,
    'a\nb',
  ],
  ['a resource that is text', [{ type: 'resource', resource: { uri: 'x:a', text: 'said' } }], undefined, 'said'],
  ['text in base64', [blob('application/json', '{"a":1}')], undefined, '{"a":1}'],
  [
    'other bytes',
    [blob('application/zip', 'PK')],
    undefined,
    '[resource x:a: application/zip, 3 bytes; it cannot be shown]',
  ],
  ['a link', [{ type: 'resource_link', uri: 'x:a', name: 'A', description: 'about' }], undefined, '[x:a, A, about]'],
  [
    'sound',
    [{ type: 'audio', mimeType: 'audio/wav', data: 'AAAA' }],
    undefined,
    '[audio: audio/wav, 3 bytes; it cannot be shown]',
  ],
  ['an image that is none', [{ ...image, data: 'AAAA' }], undefined, '[image: image/png, 3 bytes; it cannot be shown]'],
  ['what is structured', [], { a: 1 }, '{"a":1}'],
  ['what is structured, beside another text', [{ type: 'text', text: 'one' }], { a: 1 }, 'one\n{"a":1}'],
  [
    'what is structured, said twice',
    [{ type: 'text', text: '{ "b": [2],\n "a": 1 }' }],
    { a: 1, b: [2] },
    '{ "b": [2],\n "a": 1 }',
  ],
])('%s', (_, content, structuredContent, text) => {
  expect(toToolAnswer({ content, structuredContent })).toEqual({ text });
});

it('images go beside the text, which says what they are; up to the size of an attachment', () => {
  expect(toToolAnswer({ content: [{ type: 'text', text: 'look:' }, image] })).toEqual({
    text: 'look:\n[image: image/png, 72 bytes]',
    media: [{ name: 'image', mimeType: 'image/png', data: PNG }],
  });
  const large = { ...image, data: PNG.slice(0, 92) + 'A'.repeat(4 * 1024 * 1024) };
  const { text, media } = toToolAnswer({ content: [large, large, image] });
  expect(media?.map(({ data }) => data?.length)).toEqual([large.data.length, PNG.length]);
  expect(text.split('\n')[1]).toMatch(/too large to be shown\]$/);
});
