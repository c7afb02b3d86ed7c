import { z } from 'zod';
import { AgentName, CallId, InputId, SessionId } from './ids.ts';
import { Content } from './input.ts';
import { JsonObject } from './json-object.ts';
import { RunEnd, Usage } from './run.ts';
import { WireError } from './wire-error.ts';

const Role = z.literal('user', {
  error: ({ input }) => `role must be "user": messages of ${named(input)} are not taken`,
});

function named(role: unknown): string {
  return typeof role === 'string' ? `"${role.slice(0, 40)}"` : 'another role';
}

/** The two documented bodies of `POST /agent/message/stream`. PROTOCOL.md §8. */
export const MessageStreamBody = z
  .object({
    session_id: SessionId,
    type: z.literal('user_message', "type must be 'user_message'").optional(),
    role: Role.optional(),
    content: Content,
    message_id: z.string().min(1).max(128).optional(),
  })
  .refine((body) => body.type !== undefined || body.role !== undefined, {
    message: 'the body needs "type": "user_message" or "role": "user"',
    path: ['type'],
  });

/** The body of `POST /api/v1/message`. */
export const MessageBody = z
  .object({
    session_id: SessionId,
    message: Content.optional(),
    content: Content.optional(),
    message_id: z.string().min(1).max(128).optional(),
    stream: z.boolean('stream must be true or false').default(false),
  })
  .refine((body) => body.message !== undefined || body.content !== undefined, {
    message: 'the body needs "message"',
    path: ['message'],
  });

/** A frame that an older IDE client sends on `/ws/{session_id}`. */
export const LegacyClientFrame = z.discriminatedUnion(
  'type',
  [
    z.object({
      type: z.literal('user_message'),
      content: Content,
      role: Role.optional(),
      message_id: z.string().min(1).max(128).optional(),
      /** Names the message over connections: the same one again is the same message. */
      input_id: InputId.optional(),
    }),
    z
      .object({
        type: z.literal('tool_result'),
        call_id: CallId,
        result: z.unknown().optional(),
        error: z.string().nullish(),
      })
      .refine((frame) => frame.result !== undefined || typeof frame.error === 'string', {
        message: 'a tool_result needs "result" or "error"',
        path: ['result'],
      }),
    z.object({
      type: z.literal('hitl_decision'),
      call_id: CallId,
      decision: z.enum(['approve', 'edit', 'reject']),
      modified_arguments: JsonObject.nullish(),
      feedback: z.string().max(32_768).nullish(),
    }),
    z.object({
      type: z.literal('switch_agent'),
      agent_type: AgentName,
      content: z.string().default(''),
      reason: z.string().max(2000).nullish(),
      message_id: z.string().min(1).max(128).optional(),
    }),
  ],
  'type must be one of: user_message, tool_result, hitl_decision, switch_agent',
);
export type LegacyClientFrame = z.infer<typeof LegacyClientFrame>;

/** Is the answer of `POST /api/v1/message`, where it is not a stream. */
export const MessageAnswer = z.object({
  session_id: z.string(),
  message_id: z.string(),
  run_id: z.string(),
  message: z.string(),
  status: RunEnd.exclude(['failed']).describe(
    'How the run ended: of one that was cancelled or cut off the message is a part.',
  ),
  usage: Usage,
});
export type MessageAnswer = z.infer<typeof MessageAnswer>;

/** A token of an answer, or its end, on `/agent/message/stream` and `/ws/{session_id}`. */
export const LegacyTokenFrame = z.object({
  token: z.string(),
  is_final: z.boolean(),
  type: z.literal('assistant_message'),
});
export type LegacyTokenFrame = z.infer<typeof LegacyTokenFrame>;

/** A tool that the IDE is to run: at once, or once the person has said yes. */
export interface LegacyToolCallFrame {
  type: 'tool_call';
  call_id: string;
  tool_name: string;
  arguments: Record<string, unknown>;
  requires_approval: boolean;
  /** The place where it runs, if that is not the IDE: then only a decision is wanted. */
  target?: 'server' | 'mcp';
}

/** Says that a message waits until a person has decided. Older clients pass over a type that they don't know. */
export interface LegacyWaitingFrame {
  type: 'waiting';
  content: string;
  /** The call that waits for a decision. */
  call_id: string;
  tool_name: string;
  /** The name that this connection has given to the message, if it has. */
  message_id?: string;
}

export interface LegacyAgentFrame {
  type: 'agent_switched';
  from_agent: string;
  to_agent: string;
  reason: string;
  content: string;
}

/** The other end of an answer. */
export const LegacyErrorFrame = z.object({
  type: z.literal('error'),
  content: z.string(),
  ...WireError.omit({ message: true }).shape,
  message_id: z
    .string()
    .exactOptional()
    .describe(
      'On `/ws/{session_id}`: the message that it is the end of, where that was cancelled before the agent got it.',
    ),
});
export type LegacyErrorFrame = z.infer<typeof LegacyErrorFrame>;
