import { AgentSwitch } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Agents } from '../agents.ts';
import type { Sessions } from '../sessions.ts';

export function createAgentRouter(agents: Agents, sessions: Sessions) {
  return router({
    list: procedure.query(() => agents.list()),
    switch: procedure
      .input(AgentSwitch)
      .mutation(async ({ input }) => (await sessions.get(input.sessionId)).switchAgent(input.agent, input.reason)),
  });
}
