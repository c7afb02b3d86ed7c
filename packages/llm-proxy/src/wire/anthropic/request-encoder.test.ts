import { CompletionRequest } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { encodeAnthropicRequest } from './request-encoder.ts';

const request = CompletionRequest.parse({
  model: 'x',
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'hi' },
    { role: 'assistant', tool_calls: [{ id: 'c', function: { name: 'a', arguments: '{}' } }] },
    { role: 'tool', tool_call_id: 'c', content: '1' },
  ],
  tools: ['a', 'b'].map((name) => ({ type: 'function', function: { name } })),
});
const mark = { cache_control: { type: 'ephemeral' } };

it('the ends of tools, instructions and the two newest turns are marked for the cache', () => {
  const { tools, system, messages } = encodeAnthropicRequest(request, 'x', { sessionId: 's', ttl: '5m' });
  expect(tools).toEqual([expect.not.objectContaining(mark), expect.objectContaining(mark)]);
  expect(system).toEqual([{ type: 'text', text: 'Be brief.', ...mark }]);
  expect(messages.map(({ content }) => (content as object[]).at(-1))).toEqual([
    { type: 'text', text: 'hi', ...mark },
    expect.not.objectContaining(mark),
    expect.objectContaining({ type: 'tool_result', ...mark }),
  ]);
});

it('nothing is marked outside a session', () => {
  expect(JSON.stringify(encodeAnthropicRequest(request, 'x', undefined))).not.toContain('cache_control');
});
