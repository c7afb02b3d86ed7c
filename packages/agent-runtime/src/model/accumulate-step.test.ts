import type { CompletionChunk, FinishReason } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { createLiveStep } from '../events/live-step.ts';
import { accumulateStep } from './accumulate-step.ts';

async function accumulate(...chunks: CompletionChunk[]) {
  const live = createLiveStep({ id: 'abc', runId: 'run', step: 1, onChange() {} });
  const step = await accumulateStep({
    model: 'asked',
    live,
    answer: {
      async each(onChunk) {
        for (const chunk of chunks) onChunk(chunk);
      },
    },
  });
  return { ...step, isSealed: live.items.every(({ isSealed }) => isSealed) };
}

const text = (value: string): CompletionChunk => ({ type: 'text', text: value });
const reasoning = (value: string): CompletionChunk => ({ type: 'reasoning', text: value });
const call = (index: number, args: string, name?: string): CompletionChunk => ({
  type: 'tool_call',
  index,
  arguments: args,
  ...(name === undefined ? {} : { name }),
});
const finish = (finishReason: FinishReason): CompletionChunk => ({ type: 'finish', finishReason });
const usage = (inputTokens: number, costUsd?: number): CompletionChunk => ({
  type: 'usage',
  usage: { inputTokens, outputTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 },
  ...(costUsd === undefined ? {} : { costUsd }),
});
const LOST: CompletionChunk = {
  type: 'error',
  error: { code: 'PROVIDER_STREAM_LOST', message: 'lost', retryable: true, requestId: 'r' },
};

it('pieces of one kind are one item, and each change of kind begins another', async () => {
  const { items, isSealed } = await accumulate(
    reasoning('h'),
    reasoning('m'),
    text('one'),
    text(' two'),
    call(0, '{"a"', 'x'),
    call(1, '{}', 'y'),
    call(0, ':1}'),
    text('three'),
    finish('tool_calls'),
  );
  expect(items.map(({ kind, text: said, status }) => [kind, said, status])).toEqual([
    ['reasoning', 'hm', 'completed'],
    ['assistant_message', 'one two', 'completed'],
    ['tool_call', '{"a":1}', 'in_progress'],
    ['tool_call', '{}', 'in_progress'],
    ['assistant_message', 'three', 'completed'],
  ]);
  expect(items.map(({ toolCall }) => toolCall?.name)).toEqual([undefined, undefined, 'x', 'y', undefined]);
  expect(isSealed).toBe(true);
});

it('halves of a character that come apart are joined, one without the other is kept', async () => {
  const joined = await accumulate(text('a\ud83c'), text('\udf88b'), finish('stop'));
  expect(joined.items[0]?.text).toBe('a🎈b');
  const alone = await accumulate(text('a\ud83c'), finish('stop'));
  expect(alone.items[0]?.text).toBe('a\ud83c');
});

it('usage and cost are added up, and the model is the one that answered', async () => {
  const step = await accumulate(
    { type: 'start', model: 'answered', provider: 'p' },
    usage(1, 0.5),
    usage(2),
    usage(3, 0.25),
    finish('stop'),
  );
  expect([step.model, step.usage.inputTokens, step.usage.outputTokens, step.costUsd]).toEqual(['answered', 6, 3, 0.75]);
  expect((await accumulate(finish('stop'))).model).toBe('asked');
  expect((await accumulate(usage(1), finish('stop'))).costUsd).toBeUndefined();
});

it.each([
  ['an error', [LOST], 'cut off before it was whole'],
  ['its end without a word', [], 'cut off before it was whole'],
  ['the limit of its length', [finish('length')], 'too long'],
  ['a filter', [finish('content_filter')], 'broke the answer off'],
] as const)('no call of an answer that ends by %s is made', async (_, end, result) => {
  const { items } = await accumulate(text('I look.'), call(0, '{}', 'x'), call(1, '{"a', 'y'), ...end);
  expect(items.map(({ status }) => status)).toEqual(['completed', 'incomplete', 'incomplete']);
  for (const { toolCall } of items.slice(1))
    expect(toolCall).toMatchObject({ outcome: 'cancelled', result: expect.stringContaining(result) });
});

it('a text in the middle of which an answer breaks off is incomplete, those before it are not', async () => {
  const { items, error, finishReason } = await accumulate(reasoning('hm'), text('on'), LOST);
  expect(items.map(({ status }) => status)).toEqual(['completed', 'incomplete']);
  expect(error?.code).toBe('PROVIDER_STREAM_LOST');
  expect(finishReason).toBeUndefined();
});

it('thinking is kept of a whole answer only', async () => {
  const block = { type: 'thinking' as const, thinking: 'hm', signature: 's' };
  const thinking: CompletionChunk = { type: 'thinking', block };
  expect((await accumulate(thinking, finish('stop'))).thinking).toEqual([block]);
  expect((await accumulate(thinking, LOST)).thinking).toEqual([]);
});
