import { z } from 'zod';
import { InputId, RunId, SessionId } from './ids.ts';
import { ModelName } from './session.ts';
import { utf8Length } from './text.ts';

const MAX_CONTENT_BYTES = 1024 * 1024;

/** A person's message: not blank, at most 1 MiB of UTF-8. */
export const Content = z
  .string('content must be a string')
  .refine((text) => text.trim() !== '', 'content must not be empty')
  .refine((text) => utf8Length(text) <= MAX_CONTENT_BYTES, 'content must have at most 1 MiB');

export const Input = z.object({
  inputId: InputId,
  sessionId: SessionId,
  content: Content,
  /** Overrides the session's model for this input. */
  model: ModelName.optional(),
  status: z.enum(['queued', 'delivered', 'cancelled']),
  /** The run that it was delivered to. */
  runId: RunId.optional(),
  createdAt: z.date(),
});
export type Input = z.infer<typeof Input>;

export const InputSend = z.object({
  sessionId: SessionId,
  inputId: InputId,
  content: Content,
  model: ModelName.optional(),
  whenBusy: z.enum(['queue', 'reject']).default('queue'),
  /** Create the session if there is none with this id. */
  createSession: z.boolean().default(false),
});
export type InputSend = z.infer<typeof InputSend>;

export const InputRef = z.object({ sessionId: SessionId, inputId: InputId });
export type InputRef = z.infer<typeof InputRef>;

export interface InputSent {
  inputId: string;
  status: Input['status'];
  /** Whether this id had been sent before, and this answer is the first one's. */
  replayed: boolean;
  /** The id of the `input.accepted` event: subscribe from here for the answer. */
  eventId: string;
}
