import { z } from 'zod';
import { beginsAs } from './file-type.ts';
import { AgentName, InputId, RunId, SessionId } from './ids.ts';
import { AttachmentInfo } from './item.ts';
import { EffortChoice, ModelName } from './session.ts';
import { utf8Length } from './text.ts';

const MAX_CONTENT_BYTES = 1024 * 1024;

/** A person's message: not blank, at most 1 MiB of UTF-8. */
export const Content = z
  .string('content must be a string')
  .refine((text) => text.trim() !== '', 'content must not be empty')
  .refine((text) => utf8Length(text) <= MAX_CONTENT_BYTES, 'content must have at most 1 MiB');

const MAX_ATTACHMENT_BYTES = 6 * 1024 * 1024;

export const Attachment = z
  .object({
    name: z.string().min(1).max(500),
    mimeType: z.string().regex(/^[\w.+-]+\/[\w.+-]+$/, 'mimeType must be a type such as image/png'),
    data: z
      .base64('data must be base64')
      .max(MAX_ATTACHMENT_BYTES, 'data must have at most 6 MiB')
      .optional()
      .describe('The bytes, in base64.'),
    text: z.string().max(MAX_CONTENT_BYTES, 'text must have at most 1 MiB').optional(),
  })
  .refine((value) => (value.data === undefined) !== (value.text === undefined), {
    message: 'either data or text is needed, and not both',
    path: ['data'],
  })
  .refine(
    (value) => value.data === undefined || /^image\/(png|jpeg|gif|webp)$|^application\/pdf$/.test(value.mimeType),
    {
      message: 'data must be a PNG, JPEG, GIF or WebP image or a PDF: send other files as text',
      path: ['mimeType'],
      abort: true,
    },
  )
  .refine((value) => value.data === undefined || beginsAs(value.mimeType, value.data), {
    // Else the provider says so, of a run that fails.
    message: 'data does not begin as a file of its mimeType does: it is something else, or broken',
    path: ['data'],
  })
  .describe(
    'A file that comes with a message: PNG, JPEG, GIF, WebP and PDF as `data` in base64, everything else as `text`.',
  );
export type Attachment = z.infer<typeof Attachment>;

/** Says what happens to an input while a run is active. */
const WhenBusy = z.enum(['queue', 'steer', 'interrupt', 'reject']);

const InputStatus = z.enum(['queued', 'delivered', 'cancelled']);

export const Input = z
  .object({
    inputId: InputId,
    sessionId: SessionId,
    content: Content,
    attachments: z.array(AttachmentInfo).optional(),
    model: ModelName.optional().describe("Overrides the session's model for this input."),
    effort: EffortChoice.optional().describe("Overrides the session's effort for this input."),
    status: InputStatus,
    runId: RunId.optional().describe('The run that it was delivered to.'),
    createdAt: z.date(),
  })
  .describe('A message as the service keeps it.');
export type Input = z.infer<typeof Input>;

export const InputSend = z.object({
  sessionId: SessionId,
  inputId: InputId.describe('Your id for this message: sending again with the same id is harmless.'),
  content: Content,
  attachments: z.array(Attachment).max(20, 'at most 20 attachments').optional(),
  agent: AgentName.optional().describe('Switches the session to this agent first.'),
  model: ModelName.optional(),
  effort: EffortChoice.optional(),
  whenBusy: WhenBusy.default('queue').describe(
    'Chooses what happens while another run is active. `queue`: wait for it; `steer`: into that run, before its next step; `interrupt`: cancel it and go on with this; `reject`: refuse with `SESSION_BUSY`.',
  ),
  createSession: z.boolean().default(false).describe('Create the session if there is none with this id.'),
});
export type InputSend = z.infer<typeof InputSend>;

export const InputRef = z.object({ sessionId: SessionId, inputId: InputId });
export type InputRef = z.infer<typeof InputRef>;

export const InputSent = z.object({
  inputId: z.string(),
  status: InputStatus,
  replayed: z.boolean().describe('True where this id was sent before: a repeated call is answered as the first one.'),
  runId: z.string().exactOptional().describe('The run that it was delivered to, if it was.'),
  eventId: z.string().describe('A cursor from just before its `input.accepted`: subscribe from here for the answer.'),
});
export type InputSent = z.infer<typeof InputSent>;

export const InputCancelled = z.object({ status: z.literal('cancelled') });
