import { commonErrors, type ErrorCode, errorCatalogue, PROTOCOL_VERSION } from '@codelab/protocol';
import type { FastifyInstance } from 'fastify';
import { exampleOf } from './example.ts';
import { type JsonSchema, reachable, refTo } from './json-schemas.ts';

/** Is one operation of a path. https://spec.openapis.org/oas/v3.1.1#operation-object */
export interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  tags?: string[];
  parameters?: Array<{ name: string; in: 'path' | 'query' | 'header'; required: boolean; schema: JsonSchema }>;
  requestBody?: { required: boolean; content: Record<string, { schema: JsonSchema }> };
  responses: Record<string, { description: string; content: Record<string, { schema: JsonSchema }> }>;
}

export interface DocumentOptions {
  title: string;
  description: string;
  version: string;
  /** Has the operations by path and method. */
  paths: Record<string, Record<string, Operation>>;
  /** Has the schemas that they may refer to, by name. */
  components: Record<string, JsonSchema>;
  /** True where some are served without a key. @default false */
  mayBeOpen?: boolean;
}

export type OpenApiDocument = ReturnType<typeof createOpenApiDocument>;

/** Builds the OpenAPI document of a service: what each of ours has in common, and an example of each body. */
export function createOpenApiDocument(options: DocumentOptions) {
  const { title, description, version, mayBeOpen = false } = options;
  const all = { ...options.components, Error: errorSchema, JsonValue: anyJson };
  const paths = Object.fromEntries(
    Object.entries(options.paths).map(([path, operations]) => [
      path,
      Object.fromEntries(
        Object.entries(operations).map(([method, operation]) => [method, withExamples(operation, all)]),
      ),
    ]),
  );
  return {
    openapi: '3.1.1',
    info: {
      title,
      description,
      version,
      license: { name: 'MIT', identifier: 'MIT' },
      'x-protocol-version': PROTOCOL_VERSION,
    },
    servers: [{ url: '/', description: 'The service that has this document' }],
    paths,
    components: {
      schemas: reachable(all, [paths, errorSchema]),
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        key: { type: 'apiKey', in: 'header', name: 'X-Internal-Auth' },
      },
    },
    security: [{ token: [] }, { key: [] }, ...(mayBeOpen ? [{}] : [])],
  };
}

/** Serves a document at `/openapi.json`, to who may use the service. https://spec.openapis.org/oas/v3.1.1 */
export function openApiRoute(document: OpenApiDocument) {
  const text = JSON.stringify(document);
  return async (app: FastifyInstance) => {
    app.get('/openapi.json', { config: { asksBrowser: true } }, async (_request, reply) =>
      reply.type('application/json; charset=utf-8').send(text),
    );
  };
}

/** Describes the errors that an operation can answer with, by status: those that are given, and those that every one can. */
export function errorResponses(codes: readonly ErrorCode[]): Operation['responses'] {
  const all = [...new Set<ErrorCode>([...codes, ...commonErrors])];
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of all) {
    const { status } = errorCatalogue[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return {
    ...Object.fromEntries([...byStatus].map(([status, those]) => [status, errorResponse(those.join(', '))])),
    default: errorResponse('Any other code of the catalogue'),
  };
}

function errorResponse(description: string) {
  return { description, content: { 'application/json': { schema: refTo('Error') } } };
}

export function jsonBody(schema: JsonSchema): NonNullable<Operation['requestBody']> {
  return { required: (schema.required ?? []).length > 0, content: { 'application/json': { schema } } };
}

function withExamples(operation: Operation, schemas: Record<string, JsonSchema>): Operation {
  const { requestBody, responses } = operation;
  const exampled = (content: Record<string, { schema: JsonSchema }>) =>
    Object.fromEntries(
      Object.entries(content).map(([type, { schema }]) => [type, { schema, example: exampleOf(schema, schemas) }]),
    );
  const answered = Object.entries(responses).map(([status, { description, content }]) => [
    status,
    { description, content: Number(status) < 300 ? exampled(content) : content },
  ]);
  return {
    ...operation,
    ...(requestBody === undefined ? {} : { requestBody: { ...requestBody, content: exampled(requestBody.content) } }),
    responses: Object.fromEntries(answered),
  };
}

/** Is any JSON. It does not refer to itself: the type that generators make of a schema that does so in a list does not compile. */
const anyJson: JsonSchema = {
  description: 'Any JSON.',
  anyOf: [
    ...['string', 'number', 'boolean', 'null'].map((type) => ({ type })),
    { type: 'array', items: {} },
    { type: 'object', additionalProperties: {} },
  ],
};

const errorSchema: JsonSchema = {
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
