import { estimateTextTokens, IMAGE_TOKENS } from '@codelab/protocol';
import type { CountedUsage } from '../providers/provider.ts';

/** Converts a provider's count to a whole number; 0 if it is no positive number. */
export function toCount(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.round(value) : 0;
}

/** Estimates the tokens of a request's texts, tools and images. For bodies of either wire. */
export function estimateInputTokens(body: unknown): number {
  const { messages, system, tools, input } = body as Record<string, unknown>;
  // A tool's schema has no images: what it calls so is text.
  return tokensIn([messages, system, input], true) + tokensIn([tools], false);
}

/** Estimates the tokens of values, names of members included. Without recursion: bodies may be nested deep. */
function tokensIn(values: unknown[], hasImages: boolean): number {
  const left = [...values];
  let tokens = 0;
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'string') tokens += estimateTextTokens(value);
    // A number or a word: in embeddings, a token of its own.
    else if (typeof value !== 'object') tokens += value === undefined ? 0 : 1;
    else if (Array.isArray(value)) for (const item of value) left.push(item);
    else if (value !== null) {
      const { type } = value as { type?: unknown };
      const isImage = hasImages && (type === 'image' || type === 'image_url');
      if (isImage) tokens += IMAGE_TOKENS;
      for (const [name, member] of Object.entries(value)) {
        tokens += estimateTextTokens(name);
        left.push(isImage && (name === 'source' || name === 'image_url') ? withoutData(member) : member);
      }
    }
  }
  return Math.ceil(tokens);
}

/** Returns the members of an image's source other than its bytes or its URL. */
function withoutData(source: unknown): unknown {
  if (typeof source !== 'object' || source === null) return undefined;
  const { data: _, url: __, ...rest } = source as Record<string, unknown>;
  return rest;
}

/** Returns the usage of an answer that was cut: the provider's counts so far, and estimates for those that are missing. */
export function estimateUsage(
  reported: CountedUsage | undefined,
  estimate: { inputTokens: () => number; outputTokens: number },
): CountedUsage {
  return {
    inputTokens: reported?.inputTokens ?? estimate.inputTokens(),
    outputTokens: Math.max(reported?.outputTokens ?? 0, estimate.outputTokens),
    cachedTokens: reported?.cachedTokens ?? 0,
    reasoningTokens: reported?.reasoningTokens ?? 0,
    cacheWriteTokens: reported?.cacheWriteTokens ?? 0,
    isEstimated: true,
  };
}
