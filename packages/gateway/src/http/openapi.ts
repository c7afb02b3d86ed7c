import { errorCatalogue, MessageBody } from '@codelab/protocol';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { restRoutes } from './rest.ts';

/** `/openapi.json`, made from the same table that serves the routes. https://spec.openapis.org/oas/v3.1.1 */
export function openApiRoute({ version }: { version: string }) {
  return async (app: FastifyInstance) => {
    const document = createDocument(version);
    app.get('/openapi.json', async () => document);
  };
}

function createDocument(version: string) {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, summary, input, status = 200 } of restRoutes) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
    const schema = toSchema(input);
    const rest = Object.entries(schema.properties ?? {}).filter(([name]) => !inPath.includes(name));
    const required = (schema.required ?? []).filter((name) => !inPath.includes(name));
    const parameters = [
      ...inPath.map((name) => ({
        name,
        in: 'path',
        required: true,
        schema: schema.properties?.[name] ?? { type: 'string' },
      })),
      ...(method === 'GET'
        ? rest.map(([name, property]) => ({ name, in: 'query', required: required.includes(name), schema: property }))
        : []),
    ];
    const hasBody = method !== 'GET' && method !== 'DELETE';
    paths[path] = {
      ...paths[path],
      [method.toLowerCase()]: {
        summary,
        parameters,
        ...(hasBody
          ? { requestBody: jsonBody({ type: 'object', properties: Object.fromEntries(rest), required }) }
          : {}),
        responses: { [status]: { description: 'Done', content: { 'application/json': {} } }, default: errorResponse },
      },
    };
  }
  paths['/api/v1/sessions/{sessionId}/events'] = {
    get: {
      summary: "Follow the session's events (server-sent events, resumed by Last-Event-ID)",
      parameters: [
        { name: 'sessionId', in: 'path', required: true, schema: { type: 'string' } },
        { name: 'from', in: 'query', required: false, schema: { type: 'string', enum: ['now', 'start'] } },
        { name: 'Last-Event-ID', in: 'header', required: false, schema: { type: 'string' } },
      ],
      responses: { 200: { description: 'Events', content: { 'text/event-stream': {} } }, default: errorResponse },
    },
  };
  paths['/api/v1/message'] = {
    post: {
      summary: "Send a message and get the agent's answer, whole or as a stream",
      requestBody: jsonBody(toSchema(MessageBody)),
      responses: {
        200: { description: 'The answer', content: { 'application/json': {}, 'text/event-stream': {} } },
        default: errorResponse,
      },
    },
  };
  return {
    openapi: '3.1.1',
    info: { title: 'CodeLab AI Service', version },
    paths,
    components: {
      schemas: {
        Error: {
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
                details: {},
              },
            },
          },
        },
      },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ token: [] }, {}],
  };
}

const errorResponse = {
  description: 'An error of the catalogue',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
};

function jsonBody(schema: object) {
  return { required: true, content: { 'application/json': { schema } } };
}

interface ObjectSchema {
  properties?: Record<string, object>;
  required?: string[];
}

function toSchema(schema: z.ZodType): ObjectSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as ObjectSchema;
}
