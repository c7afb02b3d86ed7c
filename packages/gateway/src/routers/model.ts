import { procedure, router } from '@codelab/service-kit';
import type { Runtime } from '../runtime.ts';

export function createModelRouter(runtime: Runtime) {
  return router({
    list: procedure.query(({ ctx: { requestId } }) =>
      runtime.call((trpc, options) => trpc.model.list.query({ requestId }, options)),
    ),
  });
}
