import { ApprovalDecide, SessionRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createApprovalRouter(sessions: Sessions) {
  return router({
    list: procedure
      .input(SessionRef)
      .query(({ input }) =>
        sessions.use(input.sessionId, async (session) => ({ approvals: await session.approvals() })),
      ),
    decide: procedure
      .input(ApprovalDecide)
      .mutation(({ input }) => sessions.use(input.sessionId, (session) => session.decide(input))),
  });
}
