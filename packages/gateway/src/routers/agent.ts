import { AgentSwitch } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Runtime } from '../runtime.ts';

export function createAgentRouter(runtime: Runtime) {
  return router({
    list: procedure.query(({ ctx: { requestId } }) =>
      runtime.call((trpc, options) => trpc.agent.list.query({ requestId }, options)),
    ),
    switch: procedure
      .input(AgentSwitch)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.agent.switch.mutate({ ...input, requestId }, options)),
      ),
  });
}
