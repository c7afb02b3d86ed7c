import type { CompletionRequest } from '@codelab/protocol';
import { noChoices, type OptionalPart, type PromptCache, type ProviderChunk } from '../providers/provider.ts';
import type { Route } from '../routing/model-router.ts';
import type { CostOf } from '../routing/pricing.ts';
import { createAnthropicDecoder } from '../wire/anthropic/decoder.ts';
import { encodeAnthropicRequest } from '../wire/anthropic/request-encoder.ts';
import { createChunkReader } from '../wire/chunk-reader.ts';
import { createOpenAiDecoder } from '../wire/openai/decoder.ts';
import { encodeOpenAiRequest } from '../wire/openai/request-encoder.ts';
import { estimateInputTokens } from '../wire/token-estimate.ts';
import { type Attempt, builtinAttempt, encodeParts, streamAttempt } from './attempt.ts';
import { leaveOutRefused } from './leave-out-refused.ts';
import { hasThinking, withOwnThinking } from './own-thinking.ts';

/** Creates an attempt that reads the answer of any wire as chunks, and delivers what `encode` makes of them. */
export function openTranslated<T>(
  { provider, model }: Route,
  request: CompletionRequest,
  encode: (chunks: ProviderChunk[]) => T | undefined,
  costOf: CostOf,
  promptCache?: PromptCache,
): Attempt<T> {
  if (provider.wire === 'builtin') return builtinAttempt(provider, { ...request, model }, encode);
  const cache = provider.hasPromptCache ? promptCache : undefined;
  const route = `${provider.id}/${model}`;
  const parts: OptionalPart[] = hasThinking(withOwnThinking(request, route, true)) ? ['thinking_blocks'] : [];
  const cachePart = provider.wire === 'openai' ? 'prompt_cache_key' : 'cache_control';
  if (cache !== undefined) parts.push(cachePart);
  const { reasoning_effort: effort, ...withoutEffort } = request;
  const effortPart = `effort:${effort}` as const;
  if (typeof effort === 'string') parts.push(effortPart);
  const inputTokens = () => estimateInputTokens(request);
  const costOfUsage: Parameters<typeof createChunkReader>[2] = (usage) => costOf({ provider, model }, usage);
  const open = (refused: ReadonlySet<OptionalPart>): Attempt<T> => {
    const isOpenAi = provider.wire === 'openai';
    const cached = refused.has(cachePart) ? undefined : cache;
    const wanted = refused.has(effortPart) ? withoutEffort : request;
    const own = withOwnThinking(wanted, route, !refused.has('thinking_blocks'));
    const body = isOpenAi
      ? encodeOpenAiRequest(own, model, provider, cached)
      : JSON.stringify(encodeAnthropicRequest(own, model, cached));
    const createDecoder = isOpenAi ? createOpenAiDecoder : createAnthropicDecoder;
    const reader = createChunkReader(createDecoder(provider.id, model), provider.names, costOfUsage);
    const endpoint = isOpenAi ? 'chat/completions' : 'messages';
    return streamAttempt({ provider, endpoint, model, body, inputTokens }, encodeParts(reader, encode));
  };
  return leaveOutRefused({ provider, model, parts, open });
}

/** Collects a streamed answer into a whole one. Nothing is delivered before its end, so that it may be retried until then. */
export function collectChunks(
  attempt: Attempt<ProviderChunk[]>,
  collector: { add(chunk: ProviderChunk): void; result(): string },
): Attempt<string> {
  let isWhole = false;
  return {
    async run({ deliver, ...how }) {
      await attempt.run({
        ...how,
        deliver(chunks) {
          for (const chunk of chunks) collector.add(chunk);
          return undefined;
        },
      });
      // The provider has answered: an answer that cannot be collected would not be better the next time.
      isWhole = true;
      await deliver(collector.result());
    },
    hasBegun: () => isWhole,
    opened: () => noChoices,
    hasFailed: () => false,
    usage: () => attempt.usage(),
  };
}
