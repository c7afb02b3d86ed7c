import type { Contract, Procedure, ProcedureType, Traced } from '@codelab/protocol';
import {
  type TRPCBuiltRouter,
  type TRPCCreateRouterOptions,
  type TRPCMutationProcedure,
  type TRPCQueryProcedure,
  type TRPCSubscriptionProcedure,
  tracked,
} from '@trpc/server';
import type { z } from 'zod';
import { procedure, type RootTypes, router, type ServiceContext, streamFailed } from './procedure.ts';
import { pushable, pushOf } from './pushable.ts';

type Flat<T> = { [K in keyof T]: T[K] };
type RequestIdField = z.input<typeof Traced>;

/** Has the fields of the contract, and a `requestId` for a caller that has one. */
type InputOf<P> =
  P extends Procedure<ProcedureType, infer I>
    ? I extends z.ZodObject
      ? Flat<z.input<I> & RequestIdField>
      : Flat<RequestIdField> | undefined
    : never;
/** Has the input as a handler gets it: parsed, with its defaults. */
type ParsedOf<P> =
  P extends Procedure<ProcedureType, infer I>
    ? (I extends z.ZodObject ? z.output<I> : unknown) & RequestIdField
    : never;
type OutputOf<P> = P extends Procedure<ProcedureType, z.ZodObject | undefined, infer O> ? z.output<O> : never;

/** Carries an event of a subscription with the id to go on from. */
export interface TrackedOutput<E> {
  id: string;
  event: E;
}

/** Carries what a handler is called with. */
export interface HandlerCall<I> {
  input: I;
  ctx: ServiceContext;
  /** Aborts when the caller goes away. */
  signal: AbortSignal | undefined;
}

/** Answers one procedure: with its output, or, of a subscription, with its events. Throws `CodelabError`. */
export type Handler<P> = (
  call: HandlerCall<ParsedOf<P>>,
) => P extends Procedure<'subscription'>
  ? AsyncIterable<TrackedOutput<OutputOf<P>>>
  : OutputOf<P> | Promise<OutputOf<P>>;

/** Has a handler for each procedure of a contract. */
export type Handlers<C extends Contract> = { [G in keyof C]: { [N in keyof C[G]]: Handler<C[G][N]> } };

interface Built<P> {
  input: InputOf<P>;
  output: P extends Procedure<'subscription'>
    ? AsyncIterable<{ id: string; data: OutputOf<P> }, void, unknown>
    : OutputOf<P>;
  meta: object;
  errorShape: RootTypes['errorShape'];
}

type ProcedureOf<P> =
  P extends Procedure<'query'>
    ? TRPCQueryProcedure<Built<P>>
    : P extends Procedure<'mutation'>
      ? TRPCMutationProcedure<Built<P>>
      : P extends Procedure<'subscription'>
        ? TRPCSubscriptionProcedure<Built<P>>
        : never;

/** Has each procedure of a contract, with the types that its clients are told of. */
export type ContractRouter<C extends Contract> = TRPCBuiltRouter<
  RootTypes,
  { [G in keyof C]: { [N in keyof C[G]]: ProcedureOf<C[G][N]> } }
>;

type AnyHandler = (call: HandlerCall<unknown>) => unknown;

/** Builds the router of a contract. Inputs are parsed; outputs have the contract's types, and are sent as they are. */
export function implement<C extends Contract>(contract: C, handlers: Handlers<C>): ContractRouter<C> {
  const groups: Record<string, TRPCCreateRouterOptions> = {};
  for (const [group, procedures] of Object.entries(contract)) {
    const built: TRPCCreateRouterOptions = {};
    const given = handlers[group] as Record<string, AnyHandler>;
    for (const [name, each] of Object.entries(procedures)) built[name] = build(each, given[name] as AnyHandler);
    groups[group] = built;
  }
  return router(groups) as unknown as ContractRouter<C>;
}

function build({ type, input: schema }: Procedure, handler: AnyHandler) {
  // The types of the schemas are in those of the contract.
  const parsed = schema === undefined ? procedure : (procedure.input(schema) as unknown as typeof procedure);
  if (type === 'query') return parsed.query(handler);
  if (type === 'mutation') return parsed.mutation(handler);
  return parsed.subscription(({ input, ctx, signal, path }) => {
    const events = handler({ input, ctx, signal }) as AsyncIterable<TrackedOutput<unknown>>;
    const push = pushOf(events);
    async function* pull() {
      const done = ctx.lifecycle.begin();
      try {
        for await (const { id, event } of events) {
          await ctx.backpressure.writable(signal);
          yield tracked(id, event);
        }
      } catch (thrown) {
        streamFailed(ctx, thrown, path);
      } finally {
        done();
      }
    }
    if (push === undefined) return pull();
    return pushable(pull, (sink) => {
      const done = ctx.lifecycle.begin();
      return push(sink)
        .catch((thrown) => streamFailed(ctx, thrown, path))
        .finally(done);
    });
  });
}
