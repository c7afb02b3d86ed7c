import { procedure, router } from '@codelab/service-kit';
import type { CompletionOptions } from './completion-procedures.ts';

export function createUsageProcedures({ keys }: CompletionOptions) {
  return router({
    /** What virtual keys have used: the caller's own, or all for llm-proxy's own key. */
    get: procedure.query(({ ctx }) => {
      const caller = keys.find(ctx.credentials);
      return caller === undefined ? [] : keys.usage(caller);
    }),
  });
}
