import { InputRef, InputSend } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createInputRouter(sessions: Sessions) {
  return router({
    send: procedure.input(InputSend).mutation(({ input, ctx }) => sessions.send(input, ctx.requestId)),
    get: procedure.input(InputRef).query(({ input }) => sessions.input(input.sessionId, input.inputId)),
    cancel: procedure
      .input(InputRef)
      .mutation(({ input }) => sessions.use(input.sessionId, (session) => session.cancelInput(input.inputId))),
  });
}
