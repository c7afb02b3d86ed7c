import type { CountedUsage } from '../providers/provider.ts';

/** What an image costs, about. */
const IMAGE_TOKENS = 1_000;
const CHARACTERS_A_TOKEN = 4;

/** About four characters a token, as English has. */
export function tokensOf(characters: number): number {
  return Math.ceil(characters / CHARACTERS_A_TOKEN);
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
  let characters = 0;
  let images = 0;
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'string') characters += value.length;
    // A number or a word: in embeddings, a token of its own.
    else if (typeof value !== 'object') characters += value === undefined ? 0 : CHARACTERS_A_TOKEN;
    else if (Array.isArray(value)) for (const item of value) left.push(item);
    else if (value !== null) {
      const { type } = value as { type?: unknown };
      const isImage = hasImages && (type === 'image' || type === 'image_url');
      if (isImage) images++;
      for (const [name, member] of Object.entries(value)) {
        characters += name.length;
        left.push(isImage && (name === 'source' || name === 'image_url') ? withoutData(member) : member);
      }
    }
  }
  return tokensOf(characters) + images * IMAGE_TOKENS;
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
