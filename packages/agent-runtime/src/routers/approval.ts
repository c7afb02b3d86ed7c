import { ApprovalDecide, SessionRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createApprovalRouter(sessions: Sessions) {
  return router({
    list: procedure
      .input(SessionRef)
      .query(async ({ input }) => ({ approvals: (await sessions.get(input.sessionId)).approvals() })),
    decide: procedure
      .input(ApprovalDecide)
      .mutation(async ({ input }) => (await sessions.get(input.sessionId)).decide(input)),
  });
}
