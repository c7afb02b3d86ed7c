import { router } from '@codelab/service-kit';
import type { Models } from './models.ts';
import { createCompletionRouter } from './routers/completion.ts';
import { createModelRouter } from './routers/model.ts';

export function createRouter(models: Models) {
  return router({
    completion: createCompletionRouter(models),
    model: createModelRouter(models),
  });
}

export type LlmProxyRouter = ReturnType<typeof createRouter>;
