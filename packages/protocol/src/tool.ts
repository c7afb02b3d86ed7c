import { z } from 'zod';
import { CallId, ClientId, SessionId } from './ids.ts';
import { isDeeperThan, MAX_VALUE_DEPTH } from './json-depth.ts';
import { JsonObject } from './json-object.ts';
import { JsonValue } from './json-value.ts';
import { isPlainObject } from './plain-json.ts';
import { utf8Length } from './text.ts';

const MAX_SCHEMA_BYTES = 64 * 1024;
const MAX_SCHEMA_DEPTH = 128;
/** Of one client, or of one MCP server. */
export const MAX_TOOLS = 128;
/** Of their descriptions and schemas together. */
export const MAX_TOOLS_BYTES = 1024 * 1024;

export const ToolKind = z
  .enum(['read', 'write', 'delete', 'execute'])
  .describe(
    'The effect of a tool, which decides whether a person is asked: `read` is allowed by default, the others ask.',
  );
export type ToolKind = z.infer<typeof ToolKind>;

/** Letters, digits, `_` and `-`, at most 64: what every provider takes. */
const ToolName = z
  .string('name must be a string')
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'name must have 1 to 64 characters of A-Z a-z 0-9 _ -');

/** Arguments as JSON Schema (draft 2020-12): an object's. At most 64 KiB, nested at most 128 deep. https://json-schema.org/draft/2020-12 */
const InputSchema = z
  .custom<{ type: 'object'; [keyword: string]: unknown }>(
    (value) => isPlainObject(value) && value.type === 'object',
    'inputSchema must be the schema of an object',
  )
  .refine((schema) => !isDeeperThan(MAX_SCHEMA_DEPTH, schema), {
    message: `inputSchema must not be nested more than ${MAX_SCHEMA_DEPTH} deep`,
    abort: true,
  })
  .refine((schema) => utf8Length(JSON.stringify(schema)) <= MAX_SCHEMA_BYTES, 'inputSchema must have at most 64 KiB')
  .meta({
    type: 'object',
    properties: { type: { const: 'object' } },
    required: ['type'],
    additionalProperties: { $ref: '#/components/schemas/JsonValue' },
  });

export const ToolSpec = z
  .object({
    name: ToolName,
    description: z.string().max(8192, 'description must have at most 8,192 characters').default(''),
    inputSchema: InputSchema,
    kind: ToolKind.default('execute'),
    resource: z
      .string()
      .max(100)
      .optional()
      .describe('The argument that names the resource, such as `path`: rules match its value.'),
    timeoutMs: z
      .int()
      .min(1)
      .max(3_600_000)
      .optional()
      .describe('Limits the time of a call. Milliseconds, 1 to 3,600,000; default `AGENT_RUNTIME__TOOL_TIMEOUT_MS`.'),
  })
  .describe('A tool as the model and the rules see it.');
export type ToolSpec = z.infer<typeof ToolSpec>;

/** Returns the size of a tool as `MAX_TOOLS_BYTES` counts it. */
export function toolBytes({ description, inputSchema }: ToolSpec): number {
  return utf8Length(description) + utf8Length(JSON.stringify(inputSchema));
}

export const ToolTarget = z
  .enum(['client', 'server', 'mcp'])
  .describe('The place where a tool runs: in the IDE, in the service, in an MCP server.');
export type ToolTarget = z.infer<typeof ToolTarget>;

export const ToolOutcome = z.enum(['succeeded', 'failed', 'rejected', 'denied', 'timed_out', 'cancelled']);
export type ToolOutcome = z.infer<typeof ToolOutcome>;

export const ApprovalDecision = z.enum(['allow', 'edit', 'reject']);
export const ApprovalOutcome = z
  .enum([...ApprovalDecision.options, 'cancelled', 'timed_out'])
  .describe('`cancelled`, `timed_out`: nobody decided.');
export type ApprovalOutcome = z.infer<typeof ApprovalOutcome>;

export const Resolution = z
  .object({
    decision: ApprovalOutcome,
    by: z.string().describe('The name that the person gave; `rule` or `service` where no person decided.'),
    decidedAt: z.number().describe('Milliseconds since 1970.'),
  })
  .describe('The end of an approval.');
export type Resolution = z.infer<typeof Resolution>;

export const ToolCallInfo = z
  .object({
    callId: CallId,
    name: z.string(),
    arguments: JsonObject.optional().describe('As they are used: parsed, and edited where a person did.'),
    target: ToolTarget.optional(),
    outcome: ToolOutcome.optional(),
    result: z.string().optional().describe('The result as the model was given it.'),
    resultId: z
      .string()
      .optional()
      .describe('Names the whole result, where `result` is only a part of it: `tool.readResult`.'),
    decision: Resolution.optional().describe('The decision, where a person was asked.'),
  })
  .describe('The call of an item of kind `tool_call`. Its `text` is the arguments as the model wrote them.');
export type ToolCallInfo = z.infer<typeof ToolCallInfo>;

export const ToolAnnounce = z.object({
  sessionId: SessionId,
  clientId: ClientId.describe('The client that runs them.'),
  tools: z
    .array(ToolSpec)
    .max(MAX_TOOLS, { message: `at most ${MAX_TOOLS} tools`, abort: true })
    .refine(
      (tools) => tools.reduce((sum, tool) => sum + toolBytes(tool), 0) <= MAX_TOOLS_BYTES,
      'descriptions and schemas must have at most 1 MiB together',
    )
    .describe('All the tools of this client: what it announced before is forgotten.'),
});
export type ToolAnnounce = z.infer<typeof ToolAnnounce>;

export const ToolResult = z
  .object({
    sessionId: SessionId,
    callId: CallId,
    result: JsonValue.optional().describe('Anything that JSON has; text is given to the model as it is.'),
    error: z.string().optional().describe('The reason of a failure, for the model.'),
    decides: z
      .boolean()
      .default(false)
      .describe(
        'For clients that make a call before they are asked about it. Where it waits for a decision, this is it: `result` allows and is taken, `error` rejects with it as feedback. Default: such a result is refused.',
      ),
  })
  .refine((value) => (value.result === undefined) !== (value.error === undefined), {
    message: 'either result or error is needed, and not both',
    path: ['result'],
  })
  .refine((value) => !isDeeperThan(MAX_VALUE_DEPTH, value.result), {
    message: `result must not be nested more than ${MAX_VALUE_DEPTH} deep: send it as text`,
    path: ['result'],
  });
export type ToolResult = z.infer<typeof ToolResult>;

export const ToolProgress = z.object({
  sessionId: SessionId,
  callId: CallId,
  message: z.string().max(2000),
  fraction: z.number().min(0).max(1).optional().describe('0 to 1.'),
});
export type ToolProgress = z.infer<typeof ToolProgress>;

export const ToolResultRead = z.object({
  sessionId: SessionId,
  resultId: z.string().min(1).max(128),
  offset: z.int().nonnegative().default(0).describe('In UTF-16 code units.'),
  limit: z.int().min(1).max(262_144).default(32_768),
});
export type ToolResultRead = z.infer<typeof ToolResultRead>;

export const SessionTool = ToolSpec.extend({
  target: ToolTarget,
  connected: z.boolean().optional().describe("Of a client's tool: false where no client that has it is connected."),
}).describe('A tool of a session, with where it runs.');
export type SessionTool = z.infer<typeof SessionTool>;

export const UnusableTool = z
  .object({
    server: z.string(),
    tool: z.string().exactOptional().describe("As the server names it; missing where it is the server's whole entry."),
    reason: z.string(),
  })
  .describe('A tool of an MCP server, or an MCP server, that cannot be used.');
export type UnusableTool = z.infer<typeof UnusableTool>;

export const ToolList = z.object({
  tools: z.array(SessionTool),
  unusable: z.array(UnusableTool).exactOptional().describe('Set where something of the MCP servers cannot be used.'),
});
export type ToolList = z.infer<typeof ToolList>;

export const ToolsAnnounced = z.object({ tools: z.int().describe('The number of tools that the client has now.') });

export const ResultTaken = z.object({
  status: z.literal('accepted'),
  replayed: z.boolean().describe('True where the call had this result before.'),
});

export const ProgressTaken = z.object({ status: z.literal('accepted') });

export const ResultPart = z.object({
  text: z.string(),
  length: z.int().describe('Of the whole result, in UTF-16 code units.'),
});
