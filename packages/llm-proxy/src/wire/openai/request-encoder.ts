import type { CompletionMessage, CompletionRequest } from '@codelab/protocol';
import type { HttpProvider } from '../../providers/provider.ts';

/** Converts a request to the body for a provider of OpenAI's wire. */
export function encodeOpenAiRequest(request: CompletionRequest, model: string, provider: HttpProvider): string {
  const { max_tokens: maxTokens, ...rest } = request;
  return JSON.stringify({
    ...rest,
    model,
    messages: provider.isOpenAi ? request.messages.map(withoutOthersFields) : request.messages,
    // OpenAI's newer models refuse the older name, most other servers don't know the newer one.
    ...(maxTokens == null ? {} : { [provider.isOpenAi ? 'max_completion_tokens' : 'max_tokens']: maxTokens }),
    stream: true,
    ...(provider.hasStreamUsage ? { stream_options: { include_usage: true } } : {}),
  });
}

/** Removes the fields of other servers: OpenAI refuses unknown ones. */
function withoutOthersFields(message: CompletionMessage): CompletionMessage {
  if (message.role !== 'assistant') return message;
  const { thinking_blocks: _, reasoning_content: __, ...rest } = message;
  return rest as CompletionMessage;
}
