import { router } from '@codelab/service-kit';
import type { Models } from './models.ts';
import { createCompletionRouter } from './routers/completion.ts';
import { createModelRouter } from './routers/model.ts';
import type { CompletionLimits } from './stream-completion.ts';

export function createRouter(models: Models, limits: CompletionLimits) {
  return router({
    completion: createCompletionRouter(models, limits),
    model: createModelRouter(models),
  });
}

export type LlmProxyRouter = ReturnType<typeof createRouter>;
