import { CodelabError, CompletionRequest, toWireError } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import { tracked } from '@trpc/server';
import { z } from 'zod';
import type { CompletionReport } from '../metrics.ts';
import type { Models } from '../models.ts';
import { type CompletionLimits, streamCompletion } from '../stream-completion.ts';

const CompletionStream = z.object({
  request: CompletionRequest,
  /** Set by tRPC's client when it subscribes again after a cut. */
  lastEventId: z.string().nullish(),
});

export interface CompletionOptions {
  models: Models;
  limits: CompletionLimits;
  report: (report: CompletionReport) => void;
}

export function createCompletionRouter({ models, limits, report }: CompletionOptions) {
  return router({
    stream: procedure.input(CompletionStream).subscription(async function* ({ input, ctx, signal }) {
      // A second call of the provider would be a second answer, and a second bill.
      if (input.lastEventId != null) {
        const lost = new CodelabError(
          'PROVIDER_STREAM_LOST',
          'The connection to llm-proxy broke in the middle of the answer.',
        );
        yield tracked('lost', { type: 'error' as const, error: toWireError(lost, ctx.requestId) });
        return;
      }
      const done = ctx.lifecycle.begin();
      try {
        let number = 0;
        for await (const chunk of streamCompletion(models, input.request, {
          signal,
          limits,
          report,
          requestId: ctx.requestId,
          log: ctx.log,
        })) {
          await ctx.flow.writable(signal);
          yield tracked(String(number++), chunk);
        }
      } finally {
        done();
      }
    }),
  });
}
