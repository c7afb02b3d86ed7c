import { InputRef, InputSend } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createInputRouter(sessions: Sessions) {
  return router({
    send: procedure.input(InputSend).mutation(({ input, ctx }) => sessions.send(input, ctx)),
    cancel: procedure.input(InputRef).mutation(({ input }) => sessions.cancelInput(input)),
  });
}
