import { CompletionRequest, schemas } from '@codelab/protocol';
import {
  createOpenApiDocument,
  type JsonSchema,
  jsonBody,
  type OpenApiDocument,
  type Operation,
  toJsonSchemas,
} from '@codelab/service-kit';
import { z } from 'zod';

const OPENAI = 'https://platform.openai.com/docs/api-reference';
const ANTHROPIC = 'https://docs.anthropic.com/en/api';

const Chat = CompletionRequest.extend({ stream: z.boolean().optional() }).describe(
  `Fields of ${OPENAI}/chat: others are passed on.`,
);
const Embeddings = z.looseObject({ model: z.string(), input: z.union([z.string(), z.array(z.string())]) });
const Count = z.looseObject({
  model: z.string(),
  messages: z.array(
    z.looseObject({
      role: z.enum(['user', 'assistant']),
      content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]),
    }),
  ),
});
const Messages = Count.extend({ max_tokens: z.int().positive(), stream: z.boolean().optional() });

const Completion = z.looseObject({
  id: z.string(),
  object: z.literal('chat.completion'),
  model: z.string(),
  choices: z.array(
    z.looseObject({
      index: z.int(),
      message: z.looseObject({ role: z.literal('assistant'), content: z.string().nullish() }),
      finish_reason: z.string(),
    }),
  ),
});
const Chunk = z.looseObject({
  object: z.literal('chat.completion.chunk'),
  choices: z.array(z.looseObject({ index: z.int() })),
});
const EmbeddingList = z.looseObject({
  object: z.literal('list'),
  data: z.array(z.looseObject({ index: z.int(), embedding: z.union([z.array(z.number()), z.string()]) })),
});
const Message = z.looseObject({
  id: z.string(),
  type: z.literal('message'),
  role: z.literal('assistant'),
  content: z.array(z.looseObject({ type: z.string() })),
  stop_reason: z.string().nullable(),
});
const MessageEvent = z.looseObject({ type: z.string() });
const Tokens = z.looseObject({ input_tokens: z.int() });
const Model = z.looseObject({
  id: z.string(),
  object: z.literal('model'),
  owned_by: z.string(),
  name: z.string(),
  default: z.boolean(),
});
const ModelList = z.looseObject({ object: z.literal('list'), data: z.array(Model) });
const UsageList = z.looseObject({
  object: z.literal('list'),
  data: z.array(z.looseObject({ key: z.string(), limits: z.looseObject({}), used: z.looseObject({}) })),
});
const OpenAiError = z.looseObject({
  error: z.looseObject({ message: z.string(), type: z.string(), code: z.string().nullable() }),
});
const AnthropicError = z.looseObject({
  type: z.literal('error'),
  error: z.looseObject({ type: z.string(), message: z.string() }),
});

/** Builds the OpenAPI document of llm-proxy's wires: the fields that it looks at; the providers' own documents have the rest. */
export function createDocument(version: string): OpenApiDocument {
  const { components, inputs, outputs } = toJsonSchemas({
    named: { JsonValue: schemas.JsonValue, OpenAiError, AnthropicError, ModelOfProvider: Model },
    inputs: { Chat, Embeddings, Messages, Count },
    outputs: { Completion, Chunk, EmbeddingList, Message, MessageEvent, Tokens, Model, ModelList, UsageList },
  });
  const openAi = { error: 'OpenAiError', tag: 'openai' };
  const anthropic = { error: 'AnthropicError', tag: 'anthropic' };

  const describe = (
    wire: typeof openAi,
    {
      id,
      summary,
      body,
      answer,
      event,
    }: { id: string; summary: string; body?: string; answer: string; event?: string },
  ): Operation => ({
    operationId: id,
    tags: [wire.tag],
    summary,
    ...(body === undefined ? {} : { requestBody: jsonBody(inputs[body] ?? {}) }),
    responses: {
      200: {
        description: event === undefined ? 'Done' : 'The answer; with `stream` in events.',
        content: {
          'application/json': { schema: outputs[answer] ?? {} },
          ...(event === undefined ? {} : { 'text/event-stream': { schema: outputs[event] ?? {} } }),
        },
      },
      ...Object.fromEntries(['400', '401', '429', 'default'].map((status) => [status, refused(wire.error)])),
    },
  });
  const models = { summary: 'List the models, the default one marked', answer: 'ModelList' };
  return createOpenApiDocument({
    title: 'CodeLab llm-proxy',
    description: `The wires of OpenAI (${OPENAI}) and Anthropic (${ANTHROPIC}), over any provider. PROTOCOL.md §9.`,
    version,
    components,
    paths: {
      '/v1/chat/completions': {
        post: describe(openAi, {
          id: 'chat.completions',
          summary: 'Ask a model',
          body: 'Chat',
          answer: 'Completion',
          event: 'Chunk',
        }),
      },
      '/v1/embeddings': {
        post: describe(openAi, {
          id: 'embeddings',
          summary: 'Embed texts',
          body: 'Embeddings',
          answer: 'EmbeddingList',
        }),
      },
      '/v1/models': { get: describe(openAi, { id: 'models', ...models }) },
      '/v1/llm/models': {
        get: { ...describe(openAi, { id: 'llm.models', ...models }), description: 'The older name of `/v1/models`.' },
      },
      '/v1/models/{model}': {
        get: {
          ...describe(openAi, { id: 'models.get', summary: 'Get a model', answer: 'Model' }),
          parameters: [{ name: 'model', in: 'path', required: true, schema: { type: 'string' } }],
        },
      },
      '/v1/usage': {
        get: describe(openAi, { id: 'usage', summary: 'Get what the keys have used', answer: 'UsageList' }),
      },
      '/v1/messages': {
        post: describe(anthropic, {
          id: 'messages',
          summary: "Ask a model, over Anthropic's wire",
          body: 'Messages',
          answer: 'Message',
          event: 'MessageEvent',
        }),
      },
      '/v1/messages/count_tokens': {
        post: describe(anthropic, {
          id: 'messages.countTokens',
          summary: 'Count tokens',
          body: 'Count',
          answer: 'Tokens',
        }),
      },
    },
  });
}

function refused(schema: string): { description: string; content: Record<string, { schema: JsonSchema }> } {
  return {
    description: 'Refused: our code is in the header `x-codelab-error`.',
    content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } },
  };
}
