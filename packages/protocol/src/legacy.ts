import { z } from 'zod';
import { SessionId } from './ids.ts';
import { Content } from './input.ts';

/** The two documented bodies of `POST /agent/message/stream`. PROTOCOL.md §8. */
export const MessageStreamBody = z
  .object({
    session_id: SessionId,
    type: z.literal('user_message', "type must be 'user_message'").optional(),
    role: z.literal('user', "role must be 'user'").optional(),
    content: Content,
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
      role: z.string().optional(),
      message_id: z.string().min(1).max(128).optional(),
    }),
  ],
  'type must be one of: user_message',
);

/** A token of an answer, or its end, on `/agent/message/stream` and `/ws/{session_id}`. */
export interface LegacyTokenFrame {
  token: string;
  is_final: boolean;
  type: 'assistant_message';
}

/** The other end of an answer. */
export interface LegacyErrorFrame {
  type: 'error';
  content: string;
  code: string;
  retryable: boolean;
  requestId: string;
  retryAfterMs?: number;
  details?: unknown;
}
