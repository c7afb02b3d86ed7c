import {
  InputRef,
  InputSend,
  RunCancel,
  RunRef,
  SessionCreate,
  SessionItems,
  SessionList,
  SessionRef,
  SessionUpdate,
} from '@codelab/protocol';
import { type Credentials, type ServiceContext, toValidationError } from '@codelab/service-kit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { createRouter } from '../router.ts';

type Caller = ReturnType<ReturnType<typeof createRouter>['createCaller']>;

export interface RouteOptions {
  router: ReturnType<typeof createRouter>;
  makeContext: (credentials: Credentials, requestId: string) => ServiceContext;
}

interface RestRoute {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With `{name}` for what comes from the path. */
  path: string;
  summary: string;
  input: z.ZodObject;
  status?: number;
  call(caller: Caller, input: never): Promise<unknown>;
}

function route<S extends z.ZodObject>(
  definition: Omit<RestRoute, 'input' | 'call'> & {
    input: S;
    call(caller: Caller, input: z.input<S> & { requestId: string }): Promise<unknown>;
  },
): RestRoute {
  return definition as RestRoute;
}

/** One procedure each; the path, the query and the body together are its input. */
export const restRoutes: RestRoute[] = [
  route({
    method: 'POST',
    path: '/api/v1/sessions',
    summary: 'Create a session',
    input: SessionCreate,
    status: 201,
    call: (caller, input) => caller.session.create(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions',
    summary: 'List sessions, newest first',
    input: SessionList,
    call: (caller, input) => caller.session.list(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}',
    summary: 'Get a session',
    input: SessionRef,
    call: (caller, input) => caller.session.get(input),
  }),
  route({
    method: 'PATCH',
    path: '/api/v1/sessions/{sessionId}',
    summary: 'Change a session',
    input: SessionUpdate,
    call: (caller, input) => caller.session.update(input),
  }),
  route({
    method: 'DELETE',
    path: '/api/v1/sessions/{sessionId}',
    summary: 'Delete a session',
    input: SessionRef,
    call: (caller, input) => caller.session.delete(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}/items',
    summary: 'Read the history, newest last',
    input: SessionItems,
    call: (caller, input) => caller.session.items(input),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/inputs',
    summary: 'Send a message',
    input: InputSend,
    status: 202,
    call: (caller, input) => caller.input.send(input),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/inputs/{inputId}/cancel',
    summary: 'Take back a message that still waits',
    input: InputRef,
    call: (caller, input) => caller.input.cancel(input),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/cancel',
    summary: 'Cancel the active run',
    input: RunCancel,
    call: (caller, input) => caller.run.cancel(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}/runs/{runId}',
    summary: 'Get a run',
    input: RunRef,
    call: (caller, input) => caller.run.get(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/models',
    summary: 'List models',
    input: z.object({}),
    call: (caller, input) => caller.model.list(input),
  }),
];

export function restRoutesPlugin({ router, makeContext }: RouteOptions) {
  return async (app: FastifyInstance) => {
    for (const { method, path, input: schema, status, call } of restRoutes) {
      app.route({
        method,
        url: path.replace(/\{(\w+)\}/g, ':$1'),
        handler: async (request, reply) => {
          const context = makeContext(request, request.id);
          if (context.refusal !== undefined) throw context.refusal;
          const input = schema.safeParse(inputOf(request, schema));
          if (!input.success) throw toValidationError(input.error);
          const caller = router.createCaller(context);
          const result = await call(caller, { ...input.data, requestId: request.id } as never);
          return reply.status(status ?? 200).send(result);
        },
      });
    }
  };
}

/** A query has only strings: what its schema wants as a number becomes one. */
function inputOf(request: FastifyRequest, schema: z.ZodObject): unknown {
  const query = Object.fromEntries(
    Object.entries(request.query as Record<string, string>)
      .filter(([name]) => name !== 'token')
      .map(([name, value]) => [name, isNumeric(schema, name) && value.trim() !== '' ? Number(value) : value]),
  );
  const { body } = request;
  if (body !== undefined && (typeof body !== 'object' || body === null || Array.isArray(body))) return body;
  return { ...query, ...(body as object | undefined), ...(request.params as object) };
}

function isNumeric(schema: z.ZodObject, name: string): boolean {
  const field = schema.shape[name] as z.ZodType | undefined;
  return field?.safeParse(1).success === true && !field.safeParse('x').success;
}
