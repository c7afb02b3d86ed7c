import { procedure, router } from '@codelab/service-kit';
import type { Models } from '../models.ts';

export function createModelRouter(models: Models) {
  return router({
    list: procedure.query(() => models.list()),
  });
}
