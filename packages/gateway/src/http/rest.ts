import {
  AgentSwitch,
  ApprovalDecide,
  CodelabError,
  InputRef,
  InputSend,
  RuleAdd,
  RuleRef,
  RunCancel,
  RunRef,
  SessionCreate,
  SessionFork,
  SessionItems,
  SessionList,
  SessionRef,
  SessionUpdate,
  ToolAnnounce,
  ToolProgress,
  ToolResult,
  ToolResultRead,
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
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
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
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}/inputs/{inputId}',
    summary: 'Get a message and what became of it',
    input: InputRef,
    call: (caller, input) => caller.input.get(input),
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
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/fork',
    summary: 'Copy a session up to an item',
    input: SessionFork,
    status: 201,
    call: (caller, input) => caller.session.fork(input),
  }),
  route({
    method: 'PUT',
    path: '/api/v1/sessions/{sessionId}/tools',
    summary: 'Announce the tools that a client runs',
    input: ToolAnnounce,
    call: (caller, input) => caller.tool.announce(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}/tools',
    summary: 'List the tools of a session',
    input: SessionRef,
    call: (caller, input) => caller.tool.list(input),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/calls/{callId}/result',
    summary: 'Give the result of a tool call',
    input: ToolResult,
    call: (caller, input) => caller.tool.result(input),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/calls/{callId}/progress',
    summary: 'Say how far a tool call is',
    input: ToolProgress,
    call: (caller, input) => caller.tool.progress(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}/results/{resultId}',
    summary: 'Read a part of a large tool result',
    input: ToolResultRead,
    call: (caller, input) => caller.tool.readResult(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}/approvals',
    summary: 'List the tool calls that wait for a decision',
    input: SessionRef,
    call: (caller, input) => caller.approval.list(input),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/approvals/{callId}',
    summary: 'Allow, edit or reject a tool call',
    input: ApprovalDecide,
    call: (caller, input) => caller.approval.decide(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}/rules',
    summary: 'List what is remembered',
    input: SessionRef,
    call: (caller, input) => caller.rule.list(input),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/rules',
    summary: 'Add a rule',
    input: RuleAdd,
    status: 201,
    call: (caller, input) => caller.rule.add(input),
  }),
  route({
    method: 'DELETE',
    path: '/api/v1/sessions/{sessionId}/rules/{ruleId}',
    summary: 'Forget a rule',
    input: RuleRef,
    call: (caller, input) => caller.rule.delete(input),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/{sessionId}/agent',
    summary: 'Switch the agent',
    input: AgentSwitch,
    call: (caller, input) => caller.agent.switch(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/{sessionId}/usage',
    summary: 'What a session has used',
    input: SessionRef,
    call: (caller, input) => caller.usage.get(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/agents',
    summary: 'List agents',
    input: z.object({}),
    call: (caller, input) => caller.agent.list(input),
  }),
  route({
    method: 'GET',
    path: '/api/v1/usage',
    summary: 'What all sessions have used',
    input: z.object({}),
    call: (caller, input) => caller.usage.get(input),
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

/** A query has strings, and lists of them where a name is repeated: what its schema wants as a number becomes one. */
function inputOf(request: FastifyRequest, schema: z.ZodObject): unknown {
  const query = Object.fromEntries(
    Object.entries(request.query as Record<string, string | string[]>)
      .filter(([name]) => name !== 'token')
      .map(([name, value]) => [
        name,
        typeof value === 'string' && value.trim() !== '' && isNumeric(schema, name) ? Number(value) : value,
      ]),
  );
  const { body, headers, method, params } = request;
  // All of its input was to be in the body.
  if (body === undefined && headers['content-type'] !== undefined && method !== 'GET' && isEmpty(params))
    throw new CodelabError('VALIDATION', 'The body is empty: it must be a JSON object.');
  if (body !== undefined && (typeof body !== 'object' || body === null || Array.isArray(body))) return body;
  return { ...query, ...(body as object | undefined), ...(params as object) };
}

function isEmpty(params: unknown): boolean {
  return Object.keys(params as object).length === 0;
}

function isNumeric(schema: z.ZodObject, name: string): boolean {
  const field = schema.shape[name] as z.ZodType | undefined;
  return field?.safeParse(1).success === true && !field.safeParse('x').success;
}
