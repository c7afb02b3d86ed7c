import { UsageGet } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Runtime } from '../runtime.ts';

export function createUsageRouter(runtime: Runtime) {
  return router({
    get: procedure
      .input(UsageGet)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.usage.get.query({ ...input, requestId }, options)),
      ),
  });
}
