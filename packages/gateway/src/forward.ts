import type { Contract } from '@codelab/protocol';
import type { Handlers } from '@codelab/service-kit';

/** The service that calls are forwarded to. */
export interface Target {
  /** Calls the procedure of that name, such as `session.get`. Throws its `CodelabError`. */
  call(type: 'query' | 'mutation', name: string, input: object): Promise<unknown>;
}

/** Leaves out subscriptions: resuming one takes knowledge of its events. */
type Forwarded<C extends Contract> = {
  [G in keyof C]: {
    [N in keyof C[G] as C[G][N]['type'] extends 'subscription' ? never : N]: Handlers<C>[G][N];
  };
};

/** Returns handlers that forward each query and mutation of a contract, under the caller's request id. */
export function forward<C extends Contract>(contract: C, target: Target): Forwarded<C> {
  const groups: Record<string, Record<string, unknown>> = {};
  for (const [group, procedures] of Object.entries(contract)) {
    const handlers: Record<string, unknown> = {};
    for (const [name, { type }] of Object.entries(procedures)) {
      if (type === 'subscription') continue;
      handlers[name] = ({ input, ctx: { requestId } }: { input: object; ctx: { requestId: string } }) =>
        target.call(type, `${group}.${name}`, { ...input, requestId });
    }
    groups[group] = handlers;
  }
  return groups as Forwarded<C>;
}
