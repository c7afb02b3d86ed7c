import { AgentSwitch } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Agents } from '../agents.ts';
import type { Sessions } from '../sessions.ts';

export function createAgentRouter(agents: Agents, sessions: Sessions) {
  return router({
    list: procedure.query(() => agents.list()),
    switch: procedure
      .input(AgentSwitch)
      .mutation(({ input }) =>
        sessions.use(input.sessionId, (session) => session.switchAgent(input.agent, input.reason)),
      ),
  });
}
