import { z } from 'zod';
import { JsonObject } from './json-object.ts';
import { Usage } from './run.ts';
import { ModelName } from './session.ts';
import { WireError } from './wire-error.ts';

const Text = z.object({ type: z.literal('text'), text: z.string() });
const MessageContent = z.union(
  [z.string(), z.array(z.union([Text, z.looseObject({ type: z.string() })]))],
  'content must be a string or a list of parts',
);

const ToolCall = z.looseObject({
  id: z.string(),
  type: z.literal('function').default('function'),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});

/** A thinking block of Anthropic's wire: given back as it came, for its signature covers it. */
export const ThinkingBlock = z.discriminatedUnion('type', [
  z.object({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() }),
  z.object({ type: z.literal('redacted_thinking'), data: z.string() }),
]);
export type ThinkingBlock = z.infer<typeof ThinkingBlock>;

const signedBy = { signed_by: z.string().optional() };
/** A block with the route that signed it, `provider/model`: other routes are not given it. One without goes to every route. */
const GivenBack = z.discriminatedUnion('type', [
  ThinkingBlock.options[0].extend(signedBy),
  ThinkingBlock.options[1].extend(signedBy),
]);
export type SignedThinkingBlock = z.infer<typeof GivenBack>;

const Message = z.discriminatedUnion(
  'role',
  [
    z.looseObject({ role: z.enum(['system', 'developer']), content: MessageContent }),
    z.looseObject({ role: z.literal('user'), content: MessageContent }),
    z.looseObject({
      role: z.literal('assistant'),
      content: MessageContent.nullish(),
      tool_calls: z.array(ToolCall).nullish(),
      /** The `thinking` chunks of this answer: models of Anthropic's wire want them back before their tool calls. */
      thinking_blocks: z.array(GivenBack).nullish(),
    }),
    z.looseObject({ role: z.literal('tool'), content: MessageContent, tool_call_id: z.string() }),
  ],
  'message.role must be one of system, developer, user, assistant, tool',
);
export type CompletionMessage = z.infer<typeof Message>;

const Tool = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({
    name: z.string(),
    description: z.string().optional(),
    parameters: JsonObject.optional(),
  }),
});

/**
 * The body of OpenAI's chat completions; fields that are not named here are kept.
 * Source: https://platform.openai.com/docs/api-reference/chat/create
 */
export const CompletionRequest = z.looseObject({
  model: ModelName,
  messages: z.array(Message, 'messages must be a list').min(1, 'messages must not be empty'),
  tools: z.array(Tool).optional(),
  temperature: z.number('temperature must be a number').min(0).max(2).nullish(),
  max_tokens: z.int().positive().nullish(),
  max_completion_tokens: z.int().positive().nullish(),
});
export type CompletionRequest = z.infer<typeof CompletionRequest>;

export const FinishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter']);
export type FinishReason = z.infer<typeof FinishReason>;

/** A part of a streamed completion. A stream ends with exactly one `finish` or `error`. PROTOCOL.md §9. */
export const CompletionChunk = z.discriminatedUnion('type', [
  z.object({ type: z.literal('start'), model: z.string(), provider: z.string() }),
  z.object({ type: z.literal('text'), text: z.string() }),
  z.object({ type: z.literal('reasoning'), text: z.string() }),
  /** A whole block, after the `reasoning` that it is made of. */
  z.object({
    type: z.literal('thinking'),
    block: ThinkingBlock,
    signedBy: z.string().optional().describe('`provider/model`: to be given back as `signed_by`.'),
  }),
  z.object({
    type: z.literal('tool_call'),
    index: z.int().nonnegative(),
    callId: z.string().optional(),
    name: z.string().optional(),
    /** A fragment of the JSON text of the arguments: fragments of one index concatenate. */
    arguments: z.string(),
  }),
  /** `costUsd`: of models that have a price. US dollars. */
  z.object({ type: z.literal('usage'), usage: Usage, costUsd: z.number().nonnegative().optional() }),
  z.object({ type: z.literal('finish'), finishReason: FinishReason }),
  z.object({ type: z.literal('error'), error: WireError }),
]);
export type CompletionChunk = z.infer<typeof CompletionChunk>;
