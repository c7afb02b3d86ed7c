import type { ProviderCall } from './fake-provider.ts';

export interface AnthropicAnswer {
  model?: string;
  thinking?: { text: string; signature: string };
  text?: string;
  calls?: Array<{ id: string; name: string; args: object }>;
  usage?: object;
}

/** Answers a call on Anthropic's wire as its models do: thinking, then text, then calls. */
export async function sayInAnthropic(
  call: ProviderCall,
  {
    model = call.body.model,
    thinking,
    text,
    calls = [],
    usage = { input_tokens: 3, output_tokens: 1 },
  }: AnthropicAnswer,
): Promise<void> {
  const message = { id: 'm', type: 'message', role: 'assistant', model, content: [], usage };
  await call.event('message_start', { message });
  let index = 0;
  const block = async (start: object, ...deltas: object[]) => {
    await call.event('content_block_start', { index, content_block: start });
    for (const delta of deltas) await call.event('content_block_delta', { index, delta });
    await call.event('content_block_stop', { index: index++ });
  };
  if (thinking !== undefined)
    await block(
      { type: 'thinking', thinking: '', signature: '' },
      { type: 'thinking_delta', thinking: thinking.text },
      { type: 'signature_delta', signature: thinking.signature },
    );
  const said = text ?? (calls.length === 0 ? 'ok' : undefined);
  if (said !== undefined) await block({ type: 'text', text: '' }, { type: 'text_delta', text: said });
  for (const { id, name, args } of calls)
    await block(
      { type: 'tool_use', id, name, input: {} },
      { type: 'input_json_delta', partial_json: JSON.stringify(args) },
    );
  const stop_reason = calls.length === 0 ? 'end_turn' : 'tool_use';
  await call.event('message_delta', { delta: { stop_reason }, usage: { output_tokens: 5 } });
  await call.event('message_stop');
  call.response.end();
}
