import { router } from '@codelab/service-kit';
import { type CompletionOptions, createCompletionRouter } from './routers/completion.ts';
import { createModelRouter } from './routers/model.ts';
import { createUsageRouter } from './routers/usage.ts';

export function createRouter(options: CompletionOptions) {
  return router({
    completion: createCompletionRouter(options),
    model: createModelRouter(options),
    usage: createUsageRouter(options),
  });
}

export type LlmProxyRouter = ReturnType<typeof createRouter>;
