import { ApprovalDecide, SessionRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Runtime } from '../runtime.ts';

export function createApprovalRouter(runtime: Runtime) {
  return router({
    list: procedure
      .input(SessionRef)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.approval.list.query({ ...input, requestId }, options)),
      ),
    decide: procedure
      .input(ApprovalDecide)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.approval.decide.mutate({ ...input, requestId }, options)),
      ),
  });
}
