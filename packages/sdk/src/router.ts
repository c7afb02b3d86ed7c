import type { ErrorCode, Procedures, procedureTypes, Subscriptions, TrackedSessionEvent } from './types.ts';

// Written by its shape, for `@trpc/client`: nothing of @trpc/server or of a service is needed to read it.

interface ProcedureOf<Type, Input, Output> {
  _def: {
    $types: { input: Input; output: Output; errorShape: ErrorShape };
    procedure: true;
    type: Type;
    meta: unknown;
    experimental_caller: boolean;
    inputs: never[];
  };
  meta: unknown;
  (call: unknown): Promise<Output>;
}

/** What a failed call has in `error.shape`. */
export interface ErrorShape {
  message: string;
  /** JSON-RPC's code. */
  code: number;
  data: {
    code: ErrorCode;
    message: string;
    retryable: boolean;
    retryAfterMs?: number;
    requestId: string;
    details?: unknown;
    httpStatus: number;
  };
}

type Root = { ctx: object; meta: object; errorShape: ErrorShape; transformer: true };

interface RouterOf<Record> {
  _def: {
    _config: {
      $types: Root;
      transformer: never;
      errorFormatter: never;
      allowOutsideOfServer: never;
      isServer: never;
      isDev: never;
      pathSeparator: never;
      defaultMeta?: never;
    };
    router: true;
    procedure?: never;
    procedures: Record;
    record: Record;
    lazy: { [name: string]: never };
  };
  createCaller: (...given: unknown[]) => never;
}

type Name = keyof Procedures | keyof Subscriptions;
type GroupOf<N> = N extends `${infer Group}.${string}` ? Group : never;
/** A procedure without input is called with none. */
type InputOf<I> = string extends keyof I ? undefined : I;

type Built<N extends Name> = N extends keyof Procedures
  ? ProcedureOf<(typeof procedureTypes)[N], InputOf<Procedures[N]['input']>, Procedures[N]['output']>
  : N extends keyof Subscriptions
    ? ProcedureOf<
        'subscription',
        Subscriptions[N]['input'],
        AsyncIterable<{ id: TrackedSessionEvent['id']; data: Subscriptions[N]['output'] }, void, unknown>
      >
    : never;

/**
 * gateway's router, for `createTRPCClient<AppRouter>` of `@trpc/client`. Its links want superjson as their `transformer`.
 * @example
 * const trpc = createTRPCClient<AppRouter>({ links: [httpLink({ url: 'http://localhost:8000/trpc', transformer: superjson })] });
 */
export type AppRouter = RouterOf<{
  [G in GroupOf<Name>]: { [N in Name as N extends `${G}.${infer P}` ? P : never]: Built<N> };
}>;
