import {
  type Contract,
  PROTOCOL_VERSION_PARAMETER,
  type Procedure,
  proceduresOf,
  type RestRoute,
} from '@codelab/protocol';
import { type Credentials, type ServiceContext, toValidationError } from '@codelab/service-kit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { createRouter } from '../router.ts';

export interface RouteOptions {
  router: ReturnType<typeof createRouter>;
  makeContext: (credentials: Credentials, requestId: string) => ServiceContext;
}

export interface RestOptions extends Pick<RouteOptions, 'makeContext'> {
  contract: Contract;
  /** Implements that contract. */
  router: { createCaller(context: ServiceContext): object };
}

/** Ties a route to its procedure. */
export interface ProcedureRoute {
  /** Names the procedure, such as `session.get`. */
  name: string;
  /** Names the route: as the procedure its first one, and `usage.get.2` a second. */
  id: string;
  procedure: Procedure;
  route: RestRoute;
  /** Has the fields of the path, the query and the body together. */
  input: z.ZodObject;
}

/** Returns the routes of a contract, those of its subscriptions included. */
export function restRoutesOf(contract: Contract): ProcedureRoute[] {
  return proceduresOf(contract).flatMap(({ name, procedure }) =>
    typeof procedure.rest === 'string'
      ? []
      : procedure.rest.map((route, index) => ({
          name,
          id: index === 0 ? name : `${name}.${index + 1}`,
          procedure,
          route,
          input: inputFor(procedure, route),
        })),
  );
}

function inputFor({ input = z.object({}) }: Procedure, { without = [] }: RestRoute): z.ZodObject {
  if (without.length === 0) return input;
  const shape = Object.fromEntries(Object.entries(input.shape).filter(([name]) => !without.includes(name)));
  return input.clone({ ...input._zod.def, shape });
}

/** Returns a route's path as Fastify writes it: `:name` for `{name}`. */
export function toUrl({ path }: RestRoute): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

/** Serves the routes of a contract's queries and mutations, as strictly as its inputs are. Those of its subscriptions are streams: `events.ts`. */
export function restPlugin({ contract, router, makeContext }: RestOptions) {
  return async (app: FastifyInstance) => {
    for (const { name, procedure, route, input: schema } of restRoutesOf(contract)) {
      if (procedure.type === 'subscription') continue;
      app.route({
        method: route.method,
        url: toUrl(route),
        handler: async (request, reply) => {
          const context = makeContext(request, request.id);
          if (context.refusal !== undefined) throw context.refusal;
          const input = schema.safeParse(inputOf(request, schema));
          if (!input.success) throw toValidationError(input.error);
          const call = procedureOf(router.createCaller(context), name);
          const result = await call({ ...input.data, requestId: request.id });
          return reply.status(route.status ?? 200).send(result);
        },
      });
    }
  };
}

/** Finds a procedure of a caller, which has them in groups. */
function procedureOf(caller: object, name: string): (input: object) => Promise<unknown> {
  const [group = '', procedure = ''] = name.split('.');
  return (caller as Record<string, Record<string, (input: object) => Promise<unknown>>>)[group]?.[procedure] as never;
}

/** Joins the path, the query and the body. A query has strings, and lists of them where a name is repeated: what its schema wants as a number becomes one. */
function inputOf(request: FastifyRequest, schema: z.ZodObject): unknown {
  const query = Object.fromEntries(
    Object.entries(queryOf(request)).map(([name, value]) => [
      name,
      typeof value === 'string' && value.trim() !== '' && isNumeric(schema, name) ? Number(value) : value,
    ]),
  );
  const { body, params } = request;
  if (body !== undefined && (typeof body !== 'object' || body === null || Array.isArray(body))) return body;
  return { ...query, ...(body as object | undefined), ...(params as object) };
}

/** Returns the parameters of a request's query, without those that say who asks. */
export function queryOf(request: FastifyRequest): Record<string, string | string[]> {
  const { token: _, [PROTOCOL_VERSION_PARAMETER]: __, ...query } = request.query as Record<string, string | string[]>;
  return query;
}

function isNumeric(schema: z.ZodObject, name: string): boolean {
  const field = schema.shape[name] as z.ZodType | undefined;
  return field?.safeParse(1).success === true && !field.safeParse('x').success;
}
