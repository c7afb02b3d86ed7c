import { CodelabError, type CompletionChunk, CompletionRequest, SessionId, toWireError } from '@codelab/protocol';
import { procedure, router, toCodelabError } from '@codelab/service-kit';
import { tracked } from '@trpc/server';
import { z } from 'zod';
import type { VirtualKeys } from '../access/virtual-keys.ts';
import { pushToPull } from '../completion/push-to-pull.ts';
import { type CompletionServices, streamCompletion } from '../completion/stream-completion.ts';
import { openTranslated } from '../completion/translated-attempt.ts';
import type { PromptCache, ProviderChunk } from '../providers/provider.ts';

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
    stream: procedure.input(CompletionStream).subscription(async function* ({ input, ctx, signal }) {
      const toLast = (error: CodelabError): CompletionChunk => ({
        type: 'error',
        error: toWireError(error, ctx.requestId),
      });
      // A second request to the provider would be a second answer, and a second bill.
      if (input.lastEventId != null) {
        const why = 'The connection to llm-proxy broke in the middle of the answer.';
        yield tracked(
          'lost',
          toLast(new CodelabError('PROVIDER_STREAM_LOST', why, { details: { lostBy: 'llm-proxy' } })),
        );
        return;
      }
      const caller = keys.find(ctx.credentials);
      if (caller === undefined) throw new CodelabError('UNAUTHORIZED');
      const done = ctx.lifecycle.begin();
      let number = 0;
      let isOpen = false;
      try {
        const { request, sessionId } = input;
        const { model } = request;
        const promptCache = sessionId === undefined ? undefined : { sessionId, ttl: promptCacheTtl };
        const parts = pushToPull<ProviderChunk[]>(
          (deliver, cancel) =>
            streamCompletion(
              {
                model,
                caller,
                open: (route) => openTranslated(route, request, (chunks) => chunks, services.costOf, promptCache),
                signal: cancel,
                requestId: ctx.requestId,
              },
              services,
              deliver,
            ),
          signal,
        );
        for await (const chunks of parts) {
          for (const chunk of chunks) {
            if (chunk.type === 'start' && isOpen) continue;
            isOpen = true;
            await ctx.backpressure.writable(signal);
            yield tracked(String(number++), chunk as CompletionChunk);
          }
        }
      } catch (thrown) {
        yield tracked(String(number++), toLast(toCodelabError(thrown)));
      } finally {
        done();
      }
    }),
  });
}
