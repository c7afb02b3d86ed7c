import type { CompletionMessage, CompletionRequest, SignedThinkingBlock } from '@codelab/protocol';

/** Returns the request without the blocks of thinking that another route has signed, or without any. Providers refuse those of others. */
export function withOwnThinking(request: CompletionRequest, route: string, keepsOwn: boolean): CompletionRequest {
  const isOwn = ({ signed_by: by }: SignedThinkingBlock) => keepsOwn && (by === undefined || by === route);
  if (!hasThinking(request)) return request;
  const messages = request.messages.map((message): CompletionMessage => {
    if (message.role !== 'assistant' || message.thinking_blocks == null) return message;
    const { thinking_blocks: blocks, ...rest } = message;
    const own = blocks.filter(isOwn).map(({ signed_by: _, ...block }) => block);
    return own.length === 0 ? rest : { ...rest, thinking_blocks: own };
  });
  return { ...request, messages };
}

export function hasThinking({ messages }: CompletionRequest): boolean {
  return messages.some((message) => message.role === 'assistant' && (message.thinking_blocks?.length ?? 0) > 0);
}
