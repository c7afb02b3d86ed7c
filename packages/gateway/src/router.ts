import { contract } from '@codelab/protocol';
import { implement } from '@codelab/service-kit';
import { forward } from './forward.ts';
import type { Runtime } from './runtime.ts';

/** Builds the router of gateway: every procedure of the contract, forwarded to agent-runtime. */
export function createRouter(runtime: Runtime) {
  const forwarded = forward(contract, runtime);
  return implement(contract, {
    ...forwarded,
    session: { ...forwarded.session, events: ({ input, ctx, signal }) => runtime.events(input, ctx, signal) },
    input: {
      ...forwarded.input,
      async send(call) {
        const sent = await forwarded.input.send(call);
        const { sessionId, inputId } = call.input;
        call.ctx.log.info({ sessionId, inputId, replayed: sent.replayed, event: 'input.sent' }, 'input sent');
        return sent;
      },
    },
  });
}

export type GatewayRouter = ReturnType<typeof createRouter>;
