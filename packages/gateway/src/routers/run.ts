import { RunCancel, RunRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Runtime } from '../runtime.ts';

export function createRunRouter(runtime: Runtime) {
  return router({
    get: procedure
      .input(RunRef)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.run.get.query({ ...input, requestId }, options)),
      ),
    cancel: procedure
      .input(RunCancel)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.run.cancel.mutate({ ...input, requestId }, options)),
      ),
  });
}
