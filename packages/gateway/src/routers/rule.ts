import { RuleAdd, RuleRef, SessionRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Runtime } from '../runtime.ts';

export function createRuleRouter(runtime: Runtime) {
  return router({
    list: procedure
      .input(SessionRef)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.rule.list.query({ ...input, requestId }, options)),
      ),
    add: procedure
      .input(RuleAdd)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.rule.add.mutate({ ...input, requestId }, options)),
      ),
    delete: procedure
      .input(RuleRef)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.rule.delete.mutate({ ...input, requestId }, options)),
      ),
  });
}
