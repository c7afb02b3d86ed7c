import type { CompletionRequest } from '@codelab/protocol';
import type { CountedUsage } from '../providers/provider.ts';

/** What an image costs, about. */
const IMAGE_TOKENS = 1_000;

/** About four characters a token, as English has. */
export function tokensOf(characters: number): number {
  return Math.ceil(characters / 4);
}

/** About how many tokens a request has: its texts, tools and images. For OpenAI's and Anthropic's bodies alike. */
export function estimateInputTokens(body: unknown): number {
  const { messages, system, tools, input } = body as Partial<CompletionRequest> & { system?: unknown; input?: unknown };
  return tokensIn([messages, system, tools, input]);
}

function tokensIn(value: unknown): number {
  if (typeof value === 'string') return tokensOf(value.length);
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + tokensIn(item), 0);
  if (typeof value !== 'object' || value === null) return 0;
  const { type } = value as { type?: unknown };
  if (type === 'image' || type === 'image_url') return IMAGE_TOKENS;
  return Object.values(value).reduce<number>((sum, item) => sum + tokensIn(item), 0);
}

/** The counts of an answer that was cut short: what the provider has said so far, and about what it has not come to say. */
export function estimateUsage(
  said: CountedUsage | undefined,
  about: { inputTokens: () => number; outputTokens: number },
): CountedUsage {
  return {
    inputTokens: said?.inputTokens ?? about.inputTokens(),
    outputTokens: Math.max(said?.outputTokens ?? 0, about.outputTokens),
    cachedTokens: said?.cachedTokens ?? 0,
    reasoningTokens: said?.reasoningTokens ?? 0,
    cacheWriteTokens: said?.cacheWriteTokens ?? 0,
    isEstimated: true,
  };
}
