import { RunCancel, RunRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createRunRouter(sessions: Sessions) {
  return router({
    get: procedure.input(RunRef).query(({ input }) => sessions.run(input.sessionId, input.runId)),
    cancel: procedure
      .input(RunCancel)
      .mutation(({ input }) => sessions.use(input.sessionId, (session) => session.cancelRun(input.runId))),
  });
}
