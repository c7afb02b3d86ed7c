import { contract, Traced } from '@codelab/protocol';
import { implement } from '@codelab/service-kit';
import { forward } from './forward.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { Runtime } from './runtime.ts';
import { strictContract } from './strict-contract.ts';

/** Builds the router of gateway: every procedure of the contract, forwarded to agent-runtime. Fields that it does not know are refused. */
export function createRouter(runtime: Runtime, metrics: GatewayMetrics) {
  const forwarded = forward(contract, {
    call: (type, name, input) => metrics.call(name, () => runtime.call(type, name, input)),
  });
  return implement(strictContract(contract, Traced.shape), {
    ...forwarded,
    session: { ...forwarded.session, events: ({ input, ctx, signal }) => runtime.events(input, ctx, signal) },
    input: {
      ...forwarded.input,
      async send(call) {
        const sent = await metrics.message(async () => forwarded.input.send(call));
        const { sessionId, inputId } = call.input;
        call.ctx.log.info({ sessionId, inputId, replayed: sent.replayed, event: 'input.sent' }, 'input sent');
        return sent;
      },
    },
  });
}

export type GatewayRouter = ReturnType<typeof createRouter>;
