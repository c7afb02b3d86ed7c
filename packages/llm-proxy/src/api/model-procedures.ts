import { procedure, router } from '@codelab/service-kit';
import type { CompletionOptions } from './completion-procedures.ts';

export function createModelProcedures({ services, keys }: CompletionOptions) {
  return router({
    /** Lists the models that the caller may ask for. */
    list: procedure.query(async ({ ctx }) => {
      const caller = keys.find(ctx.credentials);
      const { models, defaultModel } = await services.models.list();
      return { models: models.filter(({ id }) => caller?.mayUse(id)), defaultModel };
    }),
  });
}
