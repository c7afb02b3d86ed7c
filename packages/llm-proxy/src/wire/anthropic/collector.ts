import { newId, noUsage, type Usage } from '@codelab/protocol';
import { jsonDepthExceeds, MAX_JSON_DEPTH } from '@codelab/service-kit';
import { ProviderError } from '../../errors/provider-error.ts';
import type { ProviderChunk } from '../../providers/provider.ts';
import { newMessage, toAnthropicUsage, toStopReason } from './encoder.ts';

/** Creates a collector that turns chunks into one `message` object. */
export function createAnthropicCollector() {
  let message = newMessage('');
  let usage: Usage = noUsage;
  let reasoning = '';
  const calls = new Map<number, { type: 'tool_use'; id: string; name: string; input: unknown; text: string }>();
  const settleReasoning = () => {
    if (reasoning !== '') message.content.push({ type: 'thinking', thinking: reasoning, signature: '' });
    reasoning = '';
  };
  return {
    add(chunk: ProviderChunk): void {
      if (chunk.type === 'text' || chunk.type === 'tool_call') settleReasoning();
      const last = message.content.at(-1) as { type?: string; text?: string } | undefined;
      switch (chunk.type) {
        case 'start':
          message = newMessage(chunk.model);
          break;
        case 'text':
          if (last?.type === 'text') last.text += chunk.text;
          else message.content.push({ type: 'text', text: chunk.text });
          break;
        case 'reasoning':
          reasoning += chunk.text;
          break;
        case 'thinking':
          reasoning = '';
          message.content.push(chunk.block);
          break;
        case 'tool_call': {
          let call = calls.get(chunk.index);
          if (call === undefined) {
            call = {
              type: 'tool_use',
              id: chunk.callId ?? newId('toolu'),
              name: chunk.name ?? '',
              input: {},
              text: '',
            };
            calls.set(chunk.index, call);
            message.content.push(call);
          }
          call.text += chunk.arguments;
          break;
        }
        case 'usage':
          usage = chunk.usage;
          break;
        case 'finish':
          settleReasoning();
          message.stop_reason = toStopReason(chunk.finishReason);
      }
    },
    /** Returns the message as JSON. Throws `PROVIDER_STREAM_LOST` if a call's arguments are not JSON; leaves out a call that the token limit cut. */
    result(): string {
      const content = message.content.flatMap((block) => {
        if (!('input' in block)) return [block];
        const { text, ...call } = block as { text: string; input: unknown };
        const input = inputOf(text);
        if (input !== undefined) return [{ ...call, input }];
        if (message.stop_reason === 'max_tokens') return [];
        throw new ProviderError('PROVIDER_STREAM_LOST', 'The model called a tool with arguments that are not JSON');
      });
      return JSON.stringify({ ...message, content, usage: toAnthropicUsage(usage) });
    },
  };
}

/** Parses a call's input; undefined if its arguments are not whole, or nested too deep to be serialised. */
function inputOf(text: string): unknown {
  if (text.trim() === '') return {};
  if (jsonDepthExceeds(text, MAX_JSON_DEPTH)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
