import { CHARACTERS_PER_TOKEN, estimateTextTokens, IMAGE_TOKENS } from '@codelab/protocol';
import type { CountedUsage } from '../providers/provider.ts';

/** Estimates the tokens of an answer that is only counted, not read: in any script. */
export function tokensOf(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

/** A provider's count as a number that can be added up; 0 for what is none. */
export function toCount(said: unknown): number {
  return typeof said === 'number' && Number.isFinite(said) && said > 0 ? Math.round(said) : 0;
}

/** About how many tokens a request has: its texts, tools and images. For OpenAI's and Anthropic's bodies alike. */
export function estimateInputTokens(body: unknown): number {
  const { messages, system, tools, input } = body as Record<string, unknown>;
  // Whatever a tool's schema calls an image is text.
  return tokensIn([messages, system, input], true) + tokensIn([tools], false);
}

/** Counts all that stands in the values, names included, with no recursion: bodies may be nested as deep as they like. */
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

/** What an image has beside its bytes or its address. */
function withoutData(source: unknown): unknown {
  if (typeof source !== 'object' || source === null) return undefined;
  const { data: _, url: __, ...rest } = source as Record<string, unknown>;
  return rest;
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
