import {
  type Contract,
  eventSchemas,
  LegacyErrorFrame,
  LegacyTokenFrame,
  MessageAnswer,
  MessageBody,
  proceduresOf,
  schemas,
} from '@codelab/protocol';
import {
  createOpenApiDocument,
  errorResponses,
  type JsonSchema,
  jsonBody,
  type OpenApiDocument,
  type Operation,
  toJsonSchemas,
} from '@codelab/service-kit';
import { z } from 'zod';
import { EventNames } from './events.ts';
import { type ProcedureRoute, restRoutesOf } from './rest.ts';

const MESSAGE = '/api/v1/message';

/** Builds the OpenAPI document of a contract's routes and of `/api/v1/message`. No schema in it is empty. */
export function createDocument(contract: Contract, version: string): OpenApiDocument {
  const routes = restRoutesOf(contract);
  const { components, inputs, outputs } = toJsonSchemas({
    named: { ...schemas, ...eventSchemas },
    inputs: {
      ...Object.fromEntries(routes.map(({ id, input }) => [id, input])),
      [MESSAGE]: MessageBody,
      events: z.object({ events: EventNames }),
    },
    outputs: {
      ...Object.fromEntries(proceduresOf(contract).map(({ name, procedure }) => [name, procedure.output])),
      [MESSAGE]: MessageAnswer,
      [`${MESSAGE} stream`]: z.union([LegacyTokenFrame, LegacyErrorFrame]),
    },
  });
  const paths: Record<string, Record<string, Operation>> = {};
  for (const each of routes) {
    const { path, method } = each.route;
    const isStream = each.procedure.type === 'subscription';
    paths[path] = {
      ...paths[path],
      [method.toLowerCase()]: operation(
        each,
        withNames(inputs[each.id] ?? {}, isStream ? inputs.events : undefined),
        outputs[each.name] ?? {},
      ),
    };
  }
  paths[MESSAGE] = {
    post: {
      operationId: 'message',
      tags: ['message'],
      summary: "Send a message and get the agent's answer, whole or as a stream",
      requestBody: jsonBody(inputs[MESSAGE] ?? {}),
      responses: {
        200: {
          description:
            'The answer; with `stream` or `Accept: text/event-stream` in frames, of which `[DONE]` ends them.',
          content: {
            'application/json': { schema: outputs[MESSAGE] ?? {} },
            'text/event-stream': { schema: outputs[`${MESSAGE} stream`] ?? {} },
          },
        },
        ...errorResponses([]),
      },
    },
  };
  return createOpenApiDocument({
    title: 'CodeLab AI Service',
    description: 'Sessions with an agent, its tools and approvals. PROTOCOL.md says what the calls mean together.',
    version,
    paths,
    components,
    mayBeOpen: true,
  });
}

/** Adds the parameters that a stream has over HTTP alone. */
function withNames(input: JsonSchema, names: JsonSchema | undefined): JsonSchema {
  return names === undefined ? input : { ...input, properties: { ...input.properties, ...names.properties } };
}

function operation({ id, procedure, route }: ProcedureRoute, input: JsonSchema, output: JsonSchema): Operation {
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, field]) => field as string);
  const rest = Object.entries(input.properties ?? {}).filter(([field]) => !inPath.includes(field));
  const required = (input.required ?? []).filter((field) => !inPath.includes(field));
  const hasBody = route.method !== 'GET' && route.method !== 'DELETE';
  const isStream = procedure.type === 'subscription';
  const [group = ''] = id.split('.');
  return {
    operationId: id,
    tags: [group],
    summary: route.summary ?? procedure.summary,
    ...(procedure.notes === undefined ? {} : { description: procedure.notes }),
    parameters: [
      ...inPath.map((field) => ({
        name: field,
        in: 'path' as const,
        required: true,
        schema: input.properties?.[field] ?? {},
      })),
      ...(hasBody
        ? []
        : rest.map(([field, schema]) => ({
            name: field,
            in: 'query' as const,
            required: required.includes(field),
            schema,
          }))),
      ...(isStream
        ? [{ name: 'Last-Event-ID', in: 'header' as const, required: false, schema: { type: 'string' } }]
        : []),
    ],
    ...(hasBody && rest.length > 0
      ? {
          requestBody: jsonBody({
            type: 'object',
            properties: Object.fromEntries(rest),
            required,
            additionalProperties: false,
          }),
        }
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
