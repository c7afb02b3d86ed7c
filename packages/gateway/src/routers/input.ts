import { InputRef, InputSend } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Runtime } from '../runtime.ts';

export function createInputRouter(runtime: Runtime) {
  return router({
    send: procedure.input(InputSend).mutation(async ({ input, ctx: { requestId, log } }) => {
      const sent = await runtime.call((trpc, options) => trpc.input.send.mutate({ ...input, requestId }, options));
      log.info({ sessionId: input.sessionId, inputId: input.inputId, replayed: sent.replayed }, 'input sent');
      return sent;
    }),
    get: procedure
      .input(InputRef)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.input.get.query({ ...input, requestId }, options)),
      ),
    cancel: procedure
      .input(InputRef)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.input.cancel.mutate({ ...input, requestId }, options)),
      ),
  });
}
