import { procedure, router } from '@codelab/service-kit';
import type { CompletionOptions } from './completion-procedures.ts';

export function createUsageProcedures({ keys }: CompletionOptions) {
  return router({
    /** Returns the usage of the caller's virtual key, or of all keys for llm-proxy's own. */
    get: procedure.query(({ ctx }) => {
      const caller = keys.find(ctx.credentials);
      return caller === undefined ? [] : keys.usage(caller);
    }),
  });
}
