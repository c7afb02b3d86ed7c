import { CodelabError, type CompletionChunk, CompletionRequest, SessionId, toWireError } from '@codelab/protocol';
import { procedure, pushable, router, toCodelabError, toTail } from '@codelab/service-kit';
import { tracked } from '@trpc/server';
import { z } from 'zod';
import type { VirtualKeys } from '../access/virtual-keys.ts';
import type { Deliver } from '../completion/attempt.ts';
import { pushToPull } from '../completion/push-to-pull.ts';
import { type CompletionServices, streamCompletion } from '../completion/stream-completion.ts';
import { openTranslated } from '../completion/translated-attempt.ts';
import { type CancelSignal, linkedToken } from '../lib/cancel-token.ts';
import type { PromptCache, ProviderChunk } from '../providers/provider.ts';
import type { Route } from '../routing/model-router.ts';

const CompletionStream = z.object({
  request: CompletionRequest,
  /** The conversation that the request goes on with: the provider is asked to cache what it has in common with the next one. */
  sessionId: SessionId.optional(),
  /** Set by tRPC's client when it subscribes again after its connection broke. */
  lastEventId: z.string().nullish(),
});

export interface CompletionOptions {
  services: CompletionServices;
  keys: VirtualKeys;
  promptCacheTtl: PromptCache['ttl'];
}

/** Creates the procedure that streams a completion as chunks; a failure is the last chunk. */
export function createCompletionProcedures({ services, keys, promptCacheTtl }: CompletionOptions) {
  return router({
    stream: procedure.input(CompletionStream).subscription(({ input, ctx, signal }) => {
      const toLast = (error: CodelabError): CompletionChunk => ({
        type: 'error',
        error: toWireError(error, ctx.requestId),
      });
      const caller = keys.find(ctx.credentials);
      if (caller === undefined) throw new CodelabError('UNAUTHORIZED');

      /** Delivers the chunks of the answer, and resolves after the last. */
      const answer = async (deliver: Deliver<CompletionChunk[]>, cancel: CancelSignal): Promise<void> => {
        // A second request to the provider would be a second answer, and a second bill.
        if (input.lastEventId != null) {
          const why = 'The connection to llm-proxy broke in the middle of the answer.';
          await deliver([toLast(new CodelabError('PROVIDER_STREAM_LOST', why, { details: { lostBy: 'llm-proxy' } }))]);
          return;
        }
        const done = ctx.lifecycle.begin();
        try {
          const { request, sessionId } = input;
          const promptCache = sessionId === undefined ? undefined : { sessionId, ttl: promptCacheTtl };
          const completion = {
            model: request.model,
            caller,
            open: (route: Route) => openTranslated(route, request, (chunks) => chunks, services.costOf, promptCache),
            signal: cancel,
            requestId: ctx.requestId,
          };
          let isOpen = false;
          await streamCompletion(completion, services, (chunks) => {
            const first = isOpen ? chunks.filter(({ type }) => type !== 'start') : chunks;
            isOpen ||= chunks.length > 0;
            return deliver(mergeTexts(first));
          });
        } catch (thrown) {
          await deliver([toLast(toCodelabError(thrown))]);
        } finally {
          done();
        }
      };

      return pushable(
        async function* () {
          let number = 0;
          for await (const chunks of pushToPull(answer, signal))
            for (const chunk of chunks) {
              await ctx.backpressure.writable(signal);
              yield tracked(String(number++), chunk);
            }
        },
        async (sink) => {
          const { token, unlink } = linkedToken(signal);
          let number = 0;
          await answer((chunks) => {
            for (const chunk of chunks) sink.send(toTail(String(number++), chunk));
            return sink.isFull ? sink.drained() : undefined;
          }, token).finally(unlink);
        },
      );
    }),
  });
}

/** Merges adjacent pieces of text, such as those that came in one packet. */
function mergeTexts(chunks: ProviderChunk[]): CompletionChunk[] {
  const merged: CompletionChunk[] = [];
  for (const chunk of chunks) {
    const last = merged.at(-1);
    if ((chunk.type === 'text' || chunk.type === 'reasoning') && last?.type === chunk.type)
      merged[merged.length - 1] = { type: chunk.type, text: last.text + chunk.text };
    else merged.push(chunk);
  }
  return merged;
}
