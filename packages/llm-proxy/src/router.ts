import { router } from '@codelab/service-kit';
import { type CompletionOptions, createCompletionRouter } from './routers/completion.ts';
import { createModelRouter } from './routers/model.ts';

export function createRouter(options: CompletionOptions) {
  return router({
    completion: createCompletionRouter(options),
    model: createModelRouter(options.models),
  });
}

export type LlmProxyRouter = ReturnType<typeof createRouter>;
