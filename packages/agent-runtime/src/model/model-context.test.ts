import type { Attachment, Item } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { openAiMistakes } from '../../../../tests/support/wire-rules.ts';
import type { ModelOnly, StoredItem } from '../store/store.ts';
import { estimateTokens, type ModelContext, toMessages } from './model-context.ts';

let position = 0;
const stored = (kind: Item['kind'], fields: Partial<Item> = {}, modelOnly?: ModelOnly): StoredItem => ({
  position: ++position,
  item: {
    itemId: `item_${position}`,
    runId: 'run',
    step: kind === 'user_message' ? 0 : 1,
    kind,
    text: '',
    status: 'completed',
    createdAt: new Date(0),
    ...fields,
  },
  ...(modelOnly === undefined ? {} : { modelOnly }),
});
const call = (name: string, text: string, result?: string, fields: Partial<Item> = {}) =>
  stored('tool_call', {
    text,
    toolCall: { callId: `call_${name}`, name, ...(result === undefined ? {} : { result }) },
    ...fields,
  });
const messagesOf = (items: StoredItem[], more: Partial<ModelContext> = {}, attachments?: Attachment[]) => {
  const messages = toMessages(
    { summary: undefined, summarizedThrough: 0, trimmedThrough: 0, items, ...more },
    () => attachments,
  );
  expect(openAiMistakes({ messages })).toEqual([]);
  return messages;
};
const question = () => stored('user_message', { text: 'go' });

it('a step is one message, and each of its calls has its result right after it', () => {
  const messages = messagesOf([
    question(),
    stored('reasoning', { text: 'hm' }),
    stored('assistant_message', { text: 'I look.' }),
    call('a', '{"x":1}', 'A'),
    call('b', '', 'B'),
    stored('assistant_message', { text: 'Done.', step: 2 }),
  ]);
  expect(messages).toEqual([
    { role: 'user', content: 'go' },
    {
      role: 'assistant',
      content: 'I look.',
      tool_calls: [
        { id: 'call_a', type: 'function', function: { name: 'a', arguments: '{"x":1}' } },
        { id: 'call_b', type: 'function', function: { name: 'b', arguments: '{}' } },
      ],
    },
    { role: 'tool', tool_call_id: 'call_a', content: 'A' },
    { role: 'tool', tool_call_id: 'call_b', content: 'B' },
    { role: 'assistant', content: 'Done.' },
  ]);
});

it('steps of two runs are two messages, and a step without a text or a call is none', () => {
  const messages = messagesOf([
    question(),
    stored('assistant_message', { text: 'one' }),
    stored('assistant_message', { text: 'two', runId: 'other' }),
    stored('reasoning', { text: 'hm', runId: 'third' }),
    stored('notice', { text: 'for a person' }),
  ]);
  expect(messages.map(({ content }) => content)).toEqual(['go', 'one', 'two']);
});

it.each([
  ['cut off', '{"a":', { not_json: '{"a":' }],
  ['a list', '[1]', { not_json: '[1]' }],
  ['half a character', '"\ud800"', { not_json: '"\ufffd"' }],
])('arguments that are %s are given to the model as text in an object', (_, text, args) => {
  const [, assistant] = messagesOf([question(), call('a', text, 'no')]);
  const { tool_calls: calls } = assistant as { tool_calls: Array<{ function: { arguments: string } }> };
  expect(JSON.parse(calls[0]?.function.arguments ?? '')).toEqual(args);
});

it.each([
  ['имя.файла', '_________'],
  ['', 'unnamed'],
  ['x'.repeat(100), 'x'.repeat(64)],
])('the name %j of a call goes to providers as %j', (name, valid) => {
  const [, assistant] = messagesOf([question(), call(name, '{}', 'no such tool')]);
  expect(assistant).toMatchObject({ tool_calls: [{ function: { name: valid } }] });
});

it('a call without a result gets one that says so', () => {
  const [, , result] = messagesOf([question(), call('a', '{}')]);
  expect(result?.content).toContain('no result');
});

it('old results are left out by their position, short ones stay', () => {
  const long = 'x'.repeat(401);
  const old = call('a', '{}', long);
  const items = [question(), old, call('b', '{}', 'x'.repeat(400)), call('c', '{}', long)];
  const trimmedThrough = (items[2] as StoredItem).position;
  const contents = messagesOf(items, { trimmedThrough }).flatMap((message) =>
    message.role === 'tool' ? [message.content] : [],
  );
  expect(contents).toEqual(['[An older result of 401 characters was left out.]', 'x'.repeat(400), long]);
  const { toolCall } = old.item;
  if (toolCall !== undefined) toolCall.resultId = 'res_1';
  expect(messagesOf(items, { trimmedThrough })[2]?.content).toContain('read_result has it as "res_1"');
});

it('a summary comes first', () => {
  const [summary] = messagesOf([question()], { summary: 'They talked.' });
  expect(summary).toEqual({ role: 'user', content: expect.stringContaining('\nThey talked.\n') });
});

it('the thinking of a step goes back with it', () => {
  const thinking = [{ type: 'thinking' as const, thinking: 'hm', signature: 's' }];
  const [, assistant] = messagesOf([question(), stored('assistant_message', { text: 'yes' }, { thinking })]);
  expect(assistant).toMatchObject({ thinking_blocks: thinking });
});

it('attachments are files, images and texts; those that are gone are named', () => {
  const attachments: Attachment[] = [
    { name: 'a.txt', mimeType: 'text/plain', text: 'hello' },
    { name: 'b.png', mimeType: 'image/png', data: 'AAAA' },
    { name: 'c.pdf', mimeType: 'application/pdf', data: 'BBBB' },
  ];
  const message = stored('user_message', {
    text: 'look',
    attachments: attachments.map(({ name, mimeType }) => ({ name, mimeType, bytes: 1 })),
  });
  expect(messagesOf([message], {}, attachments)[0]?.content).toEqual([
    { type: 'text', text: 'look' },
    { type: 'text', text: '<file name="a.txt">\nhello\n</file>' },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
    { type: 'file', file: { filename: 'c.pdf', file_data: 'data:application/pdf;base64,BBBB' } },
  ]);
  expect(messagesOf([message])[0]?.content).toBe('look\n[No longer shown: a.txt, b.png, c.pdf]');
});

it("a result's images are beside its text, until it is left out", () => {
  const media: Attachment[] = [{ name: 'image', mimeType: 'image/png', data: 'AAAA' }];
  const paint = { ...call('paint', '{}', 'look: [image]'), modelOnly: { media } };
  const contents = (trimmedThrough: number) =>
    toMessages({ summary: undefined, summarizedThrough: 0, trimmedThrough, items: [question(), paint] }, () => []).at(
      -1,
    )?.content;
  expect(contents(0)).toEqual([
    { type: 'text', text: 'look: [image]' },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
  ]);
  expect(contents(position)).toBe('look: [image]');
});

it('tokens are estimated from characters, and an image counts for one, however large', () => {
  const text = (length: number) => estimateTokens([{ role: 'user', content: 'x'.repeat(length) }]);
  expect(text(4_000) - text(0)).toBe(1_000);
  const image = (length: number) =>
    estimateTokens([
      {
        role: 'user',
        content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(length)}` } }],
      },
    ]);
  expect(image(1_000_000)).toBe(image(10));
  expect(image(10)).toBeGreaterThan(1_600);
});
