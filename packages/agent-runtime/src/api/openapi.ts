import { LegacyErrorFrame, LegacyTokenFrame, MessageStreamBody, schemas } from '@codelab/protocol';
import {
  createOpenApiDocument,
  errorResponses,
  jsonBody,
  type OpenApiDocument,
  toJsonSchemas,
} from '@codelab/service-kit';
import { z } from 'zod';

const Rpc = z.looseObject({ jsonrpc: z.literal('2.0'), id: z.union([z.string(), z.number()]), method: z.string() });
const RpcAnswer = z.looseObject({ jsonrpc: z.literal('2.0'), id: z.union([z.string(), z.number()]) });

/** Builds the OpenAPI document of agent-runtime's doors over HTTP. Its procedures are those of gateway, which has them over REST. */
export function createDocument(version: string): OpenApiDocument {
  const { components, inputs, outputs } = toJsonSchemas({
    named: { LegacyTokenFrame, LegacyErrorFrame, JsonValue: schemas.JsonValue },
    inputs: { message: MessageStreamBody, rpc: Rpc },
    outputs: { frame: z.union([LegacyTokenFrame, LegacyErrorFrame]), rpc: RpcAnswer },
  });
  const [message = {}, rpc = {}] = [inputs.message, inputs.rpc];
  return createOpenApiDocument({
    title: 'CodeLab agent-runtime',
    description:
      'The doors of agent-runtime besides tRPC. Sessions, tools and approvals are in the document of gateway.',
    version,
    components,
    paths: {
      '/agent/message/stream': {
        post: {
          operationId: 'message.stream',
          tags: ['message'],
          summary: "Send a message and get the agent's answer as a stream",
          description: 'The body has `type: user_message` or `role: user`. PROTOCOL.md §8.',
          requestBody: jsonBody(message),
          responses: {
            200: {
              description: 'Frames, of which `[DONE]` ends them.',
              content: { 'text/event-stream': { schema: outputs.frame ?? {} } },
            },
            ...errorResponses(['IDEMPOTENCY_MISMATCH']),
          },
        },
      },
      '/mcp': {
        post: {
          operationId: 'mcp',
          tags: ['mcp'],
          summary: 'Call agent-runtime as an MCP server',
          description: 'Streamable HTTP, a message of JSON-RPC each: https://modelcontextprotocol.io',
          requestBody: jsonBody(rpc),
          responses: {
            200: {
              description: 'The answer',
              content: {
                'application/json': { schema: outputs.rpc ?? {} },
                'text/event-stream': { schema: outputs.rpc ?? {} },
              },
            },
            ...errorResponses([]),
          },
        },
      },
    },
  });
}
