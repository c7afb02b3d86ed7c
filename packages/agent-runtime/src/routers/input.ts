import { InputRef, InputSend } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createInputRouter(sessions: Sessions) {
  return router({
    send: procedure.input(InputSend).mutation(({ input, ctx }) => sessions.send(input, ctx.requestId)),
    cancel: procedure
      .input(InputRef)
      .mutation(async ({ input }) => (await sessions.get(input.sessionId)).cancelInput(input.inputId)),
  });
}
