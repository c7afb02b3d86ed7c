import type { Contract } from '@codelab/protocol';
import type { Handlers } from '@codelab/service-kit';

/** Takes the calls that are forwarded. */
export interface Target {
  /** Calls the procedure of that name, such as `session.get`. Throws its `CodelabError`. */
  call(type: 'query' | 'mutation', name: string, input: object): Promise<unknown>;
}

/** Leaves out subscriptions: one that was cut has to go on where it was, and that takes somebody who knows its events. */
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
