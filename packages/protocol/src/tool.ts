import { z } from 'zod';
import { CallId, ClientId, SessionId } from './ids.ts';
import { isDeeperThan, MAX_VALUE_DEPTH } from './json-depth.ts';
import { JsonObject } from './json-object.ts';
import { isPlainObject } from './plain-json.ts';
import { utf8Length } from './text.ts';

const MAX_SCHEMA_BYTES = 64 * 1024;
const MAX_SCHEMA_DEPTH = 128;
/** Of one client, or of one MCP server. */
export const MAX_TOOLS = 128;
/** Of their descriptions and schemas together. */
export const MAX_TOOLS_BYTES = 1024 * 1024;

/** What a tool does to the world: it decides whether a person is asked. Default rules: `read` is allowed, the rest asks. */
export const ToolKind = z.enum(['read', 'write', 'delete', 'execute']);
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
  .meta({ type: 'object', properties: { type: { const: 'object' } }, required: ['type'], additionalProperties: true });

/** A tool as the model and the rules see it. */
export const ToolSpec = z.object({
  name: ToolName,
  description: z.string().max(8192, 'description must have at most 8,192 characters').default(''),
  inputSchema: InputSchema,
  kind: ToolKind.default('execute'),
  /** Which argument names what the tool works on, such as `path`: rules match it. */
  resource: z.string().max(100).optional(),
  /** How long a call may take. Milliseconds, 1 to 3,600,000; default `AGENT_RUNTIME__TOOL_TIMEOUT_MS`. */
  timeoutMs: z.int().min(1).max(3_600_000).optional(),
});
export type ToolSpec = z.infer<typeof ToolSpec>;

/** What a tool counts for in `MAX_TOOLS_BYTES`. */
export function toolBytes({ description, inputSchema }: ToolSpec): number {
  return utf8Length(description) + utf8Length(JSON.stringify(inputSchema));
}

/** Where a tool runs: in the IDE, in agent-runtime, in an MCP server. */
export const ToolTarget = z.enum(['client', 'server', 'mcp']);
export type ToolTarget = z.infer<typeof ToolTarget>;

export const ToolOutcome = z.enum(['succeeded', 'failed', 'rejected', 'denied', 'timed_out', 'cancelled']);
export type ToolOutcome = z.infer<typeof ToolOutcome>;

export const ApprovalDecision = z.enum(['allow', 'edit', 'reject']);
/** `cancelled` and `timed_out`: nobody decided in time. */
export const ApprovalOutcome = z.enum([...ApprovalDecision.options, 'cancelled', 'timed_out']);
export type ApprovalOutcome = z.infer<typeof ApprovalOutcome>;

/** How an approval ended. */
export const Resolution = z.object({
  decision: ApprovalOutcome,
  /** As whoever decided has named themselves; `rule` and `service` where nobody did. */
  by: z.string(),
  /** Milliseconds since 1970. */
  decidedAt: z.number(),
});
export type Resolution = z.infer<typeof Resolution>;

/** What an item of kind `tool_call` says besides its text, which is the arguments as the model wrote them. */
export const ToolCallInfo = z.object({
  callId: CallId,
  name: z.string(),
  /** As they are used: parsed, and edited where a person did. */
  arguments: JsonObject.optional(),
  target: ToolTarget.optional(),
  outcome: ToolOutcome.optional(),
  /** What the model was given. */
  result: z.string().optional(),
  /** Names the whole result, where `result` is only a part of it: `tool.readResult`. */
  resultId: z.string().optional(),
  /** What was decided where somebody was asked. */
  decision: Resolution.optional(),
});
export type ToolCallInfo = z.infer<typeof ToolCallInfo>;

export const ToolAnnounce = z.object({
  sessionId: SessionId,
  /** Who runs them. */
  clientId: ClientId,
  /** All the tools of this client: what it announced before is forgotten. */
  tools: z
    .array(ToolSpec)
    .max(MAX_TOOLS, { message: `at most ${MAX_TOOLS} tools`, abort: true })
    .refine(
      (tools) => tools.reduce((sum, tool) => sum + toolBytes(tool), 0) <= MAX_TOOLS_BYTES,
      'descriptions and schemas must have at most 1 MiB together',
    ),
});
export type ToolAnnounce = z.infer<typeof ToolAnnounce>;

export const ToolResult = z
  .object({
    sessionId: SessionId,
    callId: CallId,
    /** Anything that JSON has; text is given to the model as it is. */
    result: z
      .unknown()
      .refine(
        (value) => !isDeeperThan(MAX_VALUE_DEPTH, value),
        `result must not be nested more than ${MAX_VALUE_DEPTH} deep: send it as text`,
      )
      .optional(),
    /** Why it could not be done: the model is told. */
    error: z.string().optional(),
  })
  .refine((value) => (value.result === undefined) !== (value.error === undefined), {
    message: 'either result or error is needed, and not both',
    path: ['result'],
  });
export type ToolResult = z.infer<typeof ToolResult>;

export const ToolProgress = z.object({
  sessionId: SessionId,
  callId: CallId,
  message: z.string().max(2000),
  /** 0 to 1. */
  fraction: z.number().min(0).max(1).optional(),
});
export type ToolProgress = z.infer<typeof ToolProgress>;

export const ToolResultRead = z.object({
  sessionId: SessionId,
  resultId: z.string().min(1).max(128),
  /** In UTF-16 code units. */
  offset: z.int().nonnegative().default(0),
  limit: z.int().min(1).max(262_144).default(32_768),
});
export type ToolResultRead = z.infer<typeof ToolResultRead>;

/** A tool of a session, with where it runs. */
export type SessionTool = ToolSpec & { target: ToolTarget };
