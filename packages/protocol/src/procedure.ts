import type { z } from 'zod';
import type { ErrorCode } from './errors.ts';

export type ProcedureType = 'query' | 'mutation' | 'subscription';

/** Lists the codes that every procedure can answer with. */
export const commonErrors = [
  'VALIDATION',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'PAYLOAD_TOO_LARGE',
  'RATE_LIMITED',
  'INTERNAL',
  'PROTOCOL_VERSION_UNSUPPORTED',
  'OVERLOADED',
] as const satisfies ErrorCode[];

/** Leads to a procedure over REST: the path, the query and the body together are its input. */
export interface RestRoute {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Has `{name}` for each field that comes from the path. */
  path: string;
  /** Tells success. Default: 200. */
  status?: number;
  /** Says what this route does, where the procedure has several. Default: the procedure's. */
  summary?: string;
  /** Names fields of the input that this route does not take. */
  without?: readonly string[];
}

/** Describes one procedure, as every door has it. */
export interface Procedure<
  T extends ProcedureType = ProcedureType,
  I extends z.ZodObject | undefined = z.ZodObject | undefined,
  O extends z.ZodType = z.ZodType,
> {
  type: T;
  /** Says what it does, in a few words that begin with a verb. */
  summary: string;
  /** Says what is to be known besides, in whole sentences. */
  notes?: string;
  /** Has its fields, without the `requestId` that each may have. Undefined: it takes nothing. */
  input: I;
  /** Is what it answers; of a subscription each of the events. */
  output: O;
  /** Lists the codes that it can answer with, besides `commonErrors`. */
  errors: ReadonlyArray<Exclude<ErrorCode, (typeof commonErrors)[number]>>;
  /** Lists its routes, or says why it has none. */
  rest: readonly RestRoute[] | string;
}

/** Has procedures by name, in groups: `contract.session.create` is `session.create`. */
export type Contract = Record<string, Record<string, Procedure>>;

type Definition<I extends z.ZodObject | undefined, O extends z.ZodType> = Omit<
  Procedure<ProcedureType, I, O>,
  'type' | 'input' | 'errors'
> & { input?: I; errors?: Procedure['errors'] };

/** Makes a procedure that only looks. */
export function query<O extends z.ZodType, I extends z.ZodObject | undefined = undefined>(
  definition: Definition<I, O>,
): Procedure<'query', I, O> {
  return define('query', definition);
}

/** Makes a procedure that changes something, and that is harmless to call again with the same ids. */
export function mutation<O extends z.ZodType, I extends z.ZodObject | undefined = undefined>(
  definition: Definition<I, O>,
): Procedure<'mutation', I, O> {
  return define('mutation', definition);
}

/** Makes a procedure that answers with events, each with the id to go on from. Over REST they are server-sent events. */
export function subscription<O extends z.ZodType, I extends z.ZodObject | undefined = undefined>(
  definition: Definition<I, O>,
): Procedure<'subscription', I, O> {
  return define('subscription', definition);
}

function define<T extends ProcedureType, I extends z.ZodObject | undefined, O extends z.ZodType>(
  type: T,
  { input, errors = [], ...rest }: Definition<I, O>,
): Procedure<T, I, O> {
  return { ...rest, type, input: input as I, errors };
}

/** Returns each procedure of a contract with its name, such as `session.create`. */
export function proceduresOf(contract: Contract): Array<{ name: string; procedure: Procedure }> {
  return Object.entries(contract).flatMap(([group, procedures]) =>
    Object.entries(procedures).map(([name, procedure]) => ({ name: `${group}.${name}`, procedure })),
  );
}
