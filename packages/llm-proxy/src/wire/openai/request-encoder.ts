import type { CompletionMessage, CompletionRequest } from '@codelab/protocol';
import { sha256 } from '@codelab/service-kit';
import type { HttpProvider, PromptCache } from '../../providers/provider.ts';

/** Converts a request to the body for a provider of OpenAI's wire. */
export function encodeOpenAiRequest(
  request: CompletionRequest,
  model: string,
  provider: HttpProvider,
  promptCache: PromptCache | undefined,
): string {
  const { max_tokens: maxTokens, ...rest } = request;
  return JSON.stringify({
    ...rest,
    model,
    messages: request.messages
      .map(withTextResult)
      .map((message) => (provider.isOpenAi ? withoutOthersFields(message) : message)),
    // OpenAI's newer models refuse the older name, most other servers don't know the newer one.
    ...(maxTokens == null ? {} : { [provider.isOpenAi ? 'max_completion_tokens' : 'max_tokens']: maxTokens }),
    stream: true,
    ...(provider.hasStreamUsage ? { stream_options: { include_usage: true } } : {}),
    ...(promptCache === undefined ? {} : { prompt_cache_key: sha256(promptCache.sessionId).toString('base64url') }),
  });
}

/** Makes a tool's result text: this wire takes images and files from a person only. */
function withTextResult(message: CompletionMessage): CompletionMessage {
  if (message.role !== 'tool' || typeof message.content === 'string') return message;
  const parts = message.content.filter((part) => part.type === 'text');
  const others = message.content.length - parts.length;
  if (others === 0) return message;
  const note = `[${others === 1 ? 'An image or file' : `${others} images or files`} of the result cannot be shown to this model.]`;
  return { ...message, content: [...parts.map(({ text }) => String(text)), note].join('\n') };
}

/** Removes the fields of other servers: OpenAI refuses unknown ones. */
function withoutOthersFields(message: CompletionMessage): CompletionMessage {
  if (message.role !== 'assistant') return message;
  const { thinking_blocks: _, reasoning_content: __, ...rest } = message;
  return rest as CompletionMessage;
}
