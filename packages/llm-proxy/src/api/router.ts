import { router } from '@codelab/service-kit';
import { type CompletionOptions, createCompletionProcedures } from './completion-procedures.ts';
import { createModelProcedures } from './model-procedures.ts';
import { createUsageProcedures } from './usage-procedures.ts';

export function createRouter(options: CompletionOptions) {
  return router({
    completion: createCompletionProcedures(options),
    model: createModelProcedures(options),
    usage: createUsageProcedures(options),
  });
}

export type LlmProxyRouter = ReturnType<typeof createRouter>;
