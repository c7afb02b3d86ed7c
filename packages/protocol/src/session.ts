import { z } from 'zod';
import { AgentName, InputId, ItemId, RequestId, RunId, SessionId } from './ids.ts';
import { isPlainObject } from './plain-json.ts';

/** Fields that every procedure's input may have besides its own. */
export const Traced = z.object({ requestId: RequestId.optional() });

/** A model's name: `provider/model`, a bare model name, or `default`. */
export const ModelName = z
  .string('model must be a string')
  .min(1, 'model must not be empty')
  .max(200, 'model must have at most 200 characters');

const Title = z.string().max(200, 'title must have at most 200 characters');
/** The client's own labels: at most 50, each value up to 1,000 characters. */
const Metadata = z
  // No record: zod leaves the key `__proto__` out of those.
  .custom<Record<string, string>>(isPlainObject, 'metadata must be an object')
  .refine((value) => Object.keys(value).length <= 50, 'metadata may have at most 50 entries')
  .refine(
    (value) => Object.keys(value).every((key) => key.length <= 100),
    'a key of metadata has at most 100 characters',
  )
  .refine(
    (value) => Object.values(value).every((text) => typeof text === 'string' && text.length <= 1000),
    'a value of metadata is a string of at most 1,000 characters',
  )
  .meta({
    type: 'object',
    maxProperties: 50,
    propertyNames: { type: 'string', maxLength: 100 },
    additionalProperties: { type: 'string', maxLength: 1000 },
  });

/** The project whose remembered rules sessions share: a folder, a repository's name. Up to 500 characters. */
const Project = z.string().max(500, 'project must have at most 500 characters');

export const Session = z
  .object({
    sessionId: SessionId,
    title: Title.describe('Empty until somebody names it.'),
    agent: AgentName.describe('The agent that answers.'),
    model: ModelName.describe("`provider/model`, or `default`: the agent's, else the service's."),
    project: Project.describe('The project: its sessions share remembered rules.'),
    metadata: Metadata.describe('Your own labels.'),
    forkedFrom: z
      .object({ sessionId: SessionId, itemId: ItemId.optional() })
      .optional()
      .describe('Of a fork: its origin.'),
    createdAt: z.date(),
    updatedAt: z.date(),
  })
  .describe('One conversation.');
export type Session = z.infer<typeof Session>;

/** The agent's state (`waiting`: for a person's decision), and the number of inputs that wait behind it. */
export const SessionState = z.object({
  state: z.enum(['idle', 'running', 'waiting']).describe("`waiting`: for a person's decision."),
  runId: RunId.optional(),
  queued: z.int().nonnegative().describe('The number of messages that wait behind the active run.'),
});
export type SessionState = z.infer<typeof SessionState>;

export const SessionCreate = z.object({
  sessionId: SessionId.optional().describe(
    'Your id for it, 2 to 128 characters of `A-Z a-z 0-9 _ . : -`. Creating it again with the same values returns the same one.',
  ),
  title: Title.optional(),
  agent: AgentName.optional().describe("The agent that answers. Default: the service's."),
  model: ModelName.optional().describe("Default: the agent's, else the service's."),
  project: Project.optional().describe(
    "The workspace's folder, or a repository's name. Sessions of one project share remembered rules.",
  ),
  metadata: Metadata.optional(),
});
export type SessionCreate = z.infer<typeof SessionCreate>;

export const SessionMade = z.object({
  session: Session,
  replayed: z
    .boolean()
    .describe('True where the session existed before: a repeated call is answered as the first one.'),
});

export const SessionPage = z.object({
  sessions: z.array(Session).describe('Newest first.'),
  nextCursor: z.string().exactOptional().describe('Set while there are older sessions: pass it as `cursor`.'),
});

export const Deleted = z.object({ deleted: z.boolean().describe('False where there was no such session or rule.') });

export const SessionRef = z.object({ sessionId: SessionId });

export const SessionFork = z.object({
  sessionId: SessionId,
  itemId: ItemId.optional().describe('The last item that the fork has. Default: the newest.'),
  newSessionId: SessionId.optional().describe("The fork's id. Made by the client, so that forking again is harmless."),
  title: Title.optional(),
});
export type SessionFork = z.infer<typeof SessionFork>;

export const SessionUpdate = z.object({
  sessionId: SessionId,
  title: Title.optional(),
  model: ModelName.optional(),
  metadata: Metadata.optional(),
});
export type SessionUpdate = z.infer<typeof SessionUpdate>;

const Cursor = z.string().min(1).max(200);
const limit = z.int('limit must be an integer').min(1).max(200).default(50);

export const SessionList = z.object({ cursor: Cursor.optional(), limit });
export type SessionList = z.infer<typeof SessionList>;

export const SessionItems = z.object({ sessionId: SessionId, cursor: Cursor.optional(), limit });
export type SessionItems = z.infer<typeof SessionItems>;

export const SessionEvents = z.object({
  sessionId: SessionId,
  lastEventId: z
    .string()
    .max(200)
    .nullish()
    .describe('The id of the last event that the reader has. What follows it is sent.'),
  from: z.enum(['now', 'start']).default('now').describe('The beginning without a `lastEventId`.'),
  inputId: InputId.optional().describe(
    'Without a `lastEventId`: begin where this input is accepted, and wait for it where it is still on its way.',
  ),
});
export type SessionEvents = z.infer<typeof SessionEvents>;
