import type { z } from 'zod';
import type { ErrorCode } from './errors.ts';

export type ProcedureType = 'query' | 'mutation' | 'subscription';

/** The codes that every procedure can answer with. */
export const commonErrors = [
  'VALIDATION',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'PAYLOAD_TOO_LARGE',
  'RATE_LIMITED',
  'INTERNAL',
  'OVERLOADED',
] as const satisfies ErrorCode[];

/** A way to a procedure over REST: the path, the query and the body together are its input. */
export interface RestRoute {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With `{name}` for the fields that come from the path. */
  path: string;
  /** Of success. Default: 200. */
  status?: number;
  /** What this route does, where the procedure has several. */
  summary?: string;
  /** Fields of the input that this route does not take. */
  without?: readonly string[];
}

/** One procedure, as every door has it. */
export interface Procedure<
  T extends ProcedureType = ProcedureType,
  I extends z.ZodObject | undefined = z.ZodObject | undefined,
  O extends z.ZodType = z.ZodType,
> {
  type: T;
  /** What it does, in a few words that begin with a verb. */
  summary: string;
  /** What is to be known besides. */
  notes?: string;
  /** Its fields, besides the `requestId` that each may have. Undefined: it takes nothing. */
  input: I;
  /** What it answers; of a subscription each of the events. */
  output: O;
  /** The codes that it can answer with, besides `commonErrors`. */
  errors: ReadonlyArray<Exclude<ErrorCode, (typeof commonErrors)[number]>>;
  /** Its routes, or why it has none. */
  rest: readonly RestRoute[] | string;
}

/** Procedures by name, in groups: `contract.session.create` is `session.create`. */
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
