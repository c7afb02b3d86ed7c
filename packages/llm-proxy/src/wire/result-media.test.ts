import type { CompletionRequest } from '@codelab/protocol';
import { expect, it } from 'vitest';
import type { HttpProvider } from '../providers/provider.ts';
import { encodeAnthropicRequest } from './anthropic/request-encoder.ts';
import { encodeOpenAiRequest } from './openai/request-encoder.ts';

const call = { id: 'c', type: 'function' as const, function: { name: 'paint', arguments: '{}' } };
const request: CompletionRequest = {
  model: 'm',
  messages: [
    { role: 'user', content: 'paint' },
    { role: 'assistant', content: null, tool_calls: [call] },
    {
      role: 'tool',
      tool_call_id: 'c',
      content: [
        { type: 'text', text: 'look:' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
      ],
    },
  ],
};

it("Anthropic's wire takes an image in a tool's result", () => {
  expect(encodeAnthropicRequest(request, 'm', undefined).messages.at(-1)?.content).toEqual([
    {
      type: 'tool_result',
      tool_use_id: 'c',
      content: [
        { type: 'text', text: 'look:' },
        { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
      ],
    },
  ]);
});

it.each([true, false])("OpenAI's takes text only: it says what is left out (OpenAI itself: %s)", (isOpenAi) => {
  const body = encodeOpenAiRequest(request, 'm', { isOpenAi, hasStreamUsage: false } as HttpProvider, undefined);
  expect(JSON.parse(body).messages.at(-1)).toEqual({
    role: 'tool',
    tool_call_id: 'c',
    content: 'look:\n[An image or file of the result cannot be shown to this model.]',
  });
});
