import type { Contract } from '@codelab/protocol';
import type { Handlers } from '@codelab/service-kit';

/** The end that calls are forwarded to. */
export interface Target {
  /** Calls the procedure of that name, such as `session.get`. Throws its `CodelabError`. */
  call(type: 'query' | 'mutation', name: string, input: object): Promise<unknown>;
}

/** What can be forwarded as it is: calls. A subscription has to be gone on with where it was cut, by whoever knows its events. */
type Forwarded<C extends Contract> = {
  [G in keyof C]: {
    [N in keyof C[G] as C[G][N]['type'] extends 'subscription' ? never : N]: Handlers<C>[G][N];
  };
};

/** Returns handlers that forward each query and mutation of a contract, with the request id under which the caller is known here. */
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
