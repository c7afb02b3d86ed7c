import type { CompletionRequest } from '@codelab/protocol';
import { type Attempt, builtinAttempt, rendered, streamAttempt } from './attempt.ts';
import type { Route } from './models.ts';
import type { CostOf } from './pricing.ts';
import { nothingOpened, type ProviderChunk } from './providers/provider.ts';
import { createAnthropicDecoder } from './wire/anthropic-decoder.ts';
import { toAnthropicRequest } from './wire/anthropic-request.ts';
import { createChunkReader } from './wire/chunk-reader.ts';
import { estimateInputTokens } from './wire/estimate.ts';
import { createOpenAiDecoder } from './wire/openai-decoder.ts';
import { toOpenAiBody } from './wire/openai-request.ts';

/** Asks a route, whatever its wire, and reads the answer as chunks, which `render` turns into what a door sends. */
export function openChunks<T>(
  { provider, model }: Route,
  request: CompletionRequest,
  render: (chunks: ProviderChunk[]) => T | undefined,
  costOf: CostOf,
): Attempt<T> {
  if (provider.wire === 'builtin') return builtinAttempt(provider, { ...request, model }, render);
  const inputTokens = () => estimateInputTokens(request);
  const costOfUsage: Parameters<typeof createChunkReader>[2] = (usage) => costOf({ provider, model }, usage);
  if (provider.wire === 'openai') {
    const body = toOpenAiBody(request, model, provider);
    const reader = createChunkReader(createOpenAiDecoder(provider.id, model), provider.names, costOfUsage);
    return streamAttempt(
      { provider, endpoint: 'chat/completions', model, body, inputTokens },
      rendered(reader, render),
    );
  }
  const body = JSON.stringify(toAnthropicRequest(request, model));
  const reader = createChunkReader(createAnthropicDecoder(provider.id, model), provider.names, costOfUsage);
  return streamAttempt({ provider, endpoint: 'messages', model, body, inputTokens }, rendered(reader, render));
}

/** A streamed answer as one whole: nothing is given away before its end, so that it may be asked for again until then. */
export function collected(
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
      // Paid for: what cannot be put together now could not be the next time.
      isWhole = true;
      await deliver(collector.result());
    },
    hasBegun: () => isWhole,
    opened: () => nothingOpened,
    hasFailed: () => false,
    usage: () => attempt.usage(),
  };
}
