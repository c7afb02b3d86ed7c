import {
  type Contract,
  commonErrors,
  contract,
  type ErrorCode,
  errorCatalogue,
  eventSchemas,
  LegacyErrorFrame,
  LegacyTokenFrame,
  MessageAnswer,
  MessageBody,
  PROTOCOL_VERSION,
  proceduresOf,
  schemas,
} from '@codelab/protocol';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { type JsonSchema, reachable, refTo, toJsonSchemas } from './json-schemas.ts';
import { type ProcedureRoute, restRoutesOf } from './rest.ts';

/** Serves `/openapi.json`. https://spec.openapis.org/oas/v3.1.1 */
export function openApiRoute({ version }: { version: string }) {
  return async (app: FastifyInstance) => {
    const document = createDocument(contract, version);
    app.get('/openapi.json', async () => document);
  };
}

const MESSAGE = '/api/v1/message';

/** Builds the OpenAPI document of a contract's routes and of `/api/v1/message`. No schema in it is empty. */
export function createDocument(contract: Contract, version: string) {
  const routes = restRoutesOf(contract);
  const { components, inputs, outputs } = toJsonSchemas({
    named: { ...schemas, ...eventSchemas },
    inputs: { ...Object.fromEntries(routes.map(({ id, input }) => [id, input])), [MESSAGE]: MessageBody },
    outputs: {
      ...Object.fromEntries(proceduresOf(contract).map(({ name, procedure }) => [name, procedure.output])),
      [MESSAGE]: MessageAnswer,
      [`${MESSAGE} stream`]: z.union([LegacyTokenFrame, LegacyErrorFrame]),
    },
  });
  const paths: Record<string, Record<string, object>> = {};
  for (const each of routes) {
    const { path, method } = each.route;
    paths[path] = {
      ...paths[path],
      [method.toLowerCase()]: operation(each, inputs[each.id] ?? {}, outputs[each.name] ?? {}),
    };
  }
  paths[MESSAGE] = {
    post: {
      operationId: 'message',
      summary: "Send a message and get the agent's answer, whole or as a stream",
      requestBody: jsonBody(inputs[MESSAGE] ?? {}),
      responses: {
        200: {
          description:
            'The answer; with `stream` or `Accept: text/event-stream` in frames, of which `[DONE]` ends them.',
          content: {
            'application/json': { schema: outputs[MESSAGE] },
            'text/event-stream': { schema: outputs[`${MESSAGE} stream`] },
          },
        },
        default: errorResponse(['Any code of the catalogue']),
      },
    },
  };
  return {
    openapi: '3.1.1',
    info: { title: 'CodeLab AI Service', version, 'x-protocol-version': PROTOCOL_VERSION },
    paths,
    components: {
      schemas: reachable({ ...components, Error: errorSchema }, [paths, errorSchema]),
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ token: [] }, {}],
  };
}

function operation({ id, procedure, route }: ProcedureRoute, input: JsonSchema, output: JsonSchema) {
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, field]) => field as string);
  const rest = Object.entries(input.properties ?? {}).filter(([field]) => !inPath.includes(field));
  const required = (input.required ?? []).filter((field) => !inPath.includes(field));
  const hasBody = route.method !== 'GET' && route.method !== 'DELETE';
  const isStream = procedure.type === 'subscription';
  return {
    operationId: id,
    summary: route.summary ?? procedure.summary,
    ...(procedure.notes === undefined ? {} : { description: procedure.notes }),
    parameters: [
      ...inPath.map((field) => ({ name: field, in: 'path', required: true, schema: input.properties?.[field] })),
      ...(hasBody
        ? []
        : rest.map(([field, schema]) => ({ name: field, in: 'query', required: required.includes(field), schema }))),
      ...(isStream ? [{ name: 'Last-Event-ID', in: 'header', required: false, schema: { type: 'string' } }] : []),
    ],
    ...(hasBody && rest.length > 0
      ? { requestBody: jsonBody({ type: 'object', properties: Object.fromEntries(rest), required }) }
      : {}),
    responses: {
      [route.status ?? 200]: {
        description: isStream
          ? 'Events: the `data` of each is one of these, its `id` the cursor. `event: error` has the fields of an error, and is the last.'
          : 'Done',
        content: { [isStream ? 'text/event-stream' : 'application/json']: { schema: output } },
      },
      ...errorResponses(procedure.errors),
    },
  };
}

/** Describes the errors that a route can answer with, by status, and those that every route can. */
function errorResponses(codes: readonly ErrorCode[]): Record<string, object> {
  const statuses = new Set(codes.map((code) => errorCatalogue[code].status));
  return {
    ...Object.fromEntries(
      [...statuses].map((status) => [
        status,
        errorResponse(codes.filter((code) => errorCatalogue[code].status === status)),
      ]),
    ),
    default: errorResponse(commonErrors),
  };
}

function errorResponse(codes: readonly string[]) {
  return { description: codes.join(', '), content: { 'application/json': { schema: refTo('Error') } } };
}

const errorSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'retryable', 'requestId'],
      properties: {
        code: { type: 'string', enum: Object.keys(errorCatalogue) },
        message: { type: 'string' },
        retryable: { type: 'boolean' },
        requestId: { type: 'string' },
        retryAfterMs: { type: 'number' },
        details: refTo('JsonValue'),
      },
    },
  },
};

function jsonBody(schema: JsonSchema) {
  return { required: (schema.required ?? []).length > 0, content: { 'application/json': { schema } } };
}
