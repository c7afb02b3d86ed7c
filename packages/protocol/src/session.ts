import { z } from 'zod';
import { AgentName, ClientId, InputId, ItemId, RequestId, RunId, SessionId } from './ids.ts';
import { isPlainObject } from './plain-json.ts';

/** Fields that every procedure's input may have besides its own. */
export const Traced = z.object({ requestId: RequestId.optional() });

/** A model's name: `provider/model`, a bare model name, or `default`. */
export const ModelName = z
  .string('model must be a string')
  .min(1, 'model must not be empty')
  .max(200, 'model must have at most 200 characters');

export const Effort = z
  .enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'])
  .describe('How much the model thinks before it answers. Left out for a model that does not take it.');
export type Effort = z.infer<typeof Effort>;

export const EffortChoice = z
  .enum(['default', ...Effort.options])
  .describe("An effort, or `default`: as the agent says, else the model's own.");

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
    title: Title.describe('The beginning of its first message until somebody names it; empty before that.'),
    agent: AgentName.describe('The agent that answers.'),
    model: ModelName.describe("`provider/model`, or `default`: the agent's, else the service's."),
    effort: EffortChoice.optional().describe(
      "How much the model thinks. `default`: as the agent says, else the model's own.",
    ),
    project: Project.describe('The project: its sessions share remembered rules.'),
    metadata: Metadata.describe('Your own labels.'),
    forkedFrom: z
      .object({ sessionId: SessionId, itemId: ItemId.optional() })
      .optional()
      .describe('Of a fork: its origin.'),
    createdAt: z.date(),
    updatedAt: z.date().describe('The last use: a message, or a change.'),
  })
  .describe('One conversation.');
export type Session = z.infer<typeof Session>;

/** The agent's state (`waiting`: for a person's decision, or a client), and the number of inputs that wait behind it. */
export const SessionState = z.object({
  state: z
    .enum(['idle', 'running', 'waiting'])
    .describe("`waiting`: for a person's decision, or for a client that has the tool."),
  runId: RunId.optional(),
  queued: z.int().nonnegative().describe('The number of messages that wait behind the active run.'),
});
export type SessionState = z.infer<typeof SessionState>;

/** The instructions of a folder for agents, in UTF-16 code units. */
export const MAX_INSTRUCTIONS = 32 * 1024;

export const Environment = z
  .object({
    folder: z.string().max(1000).describe("The workspace's folder."),
    system: z.string().max(200).describe('The operating system.'),
    date: z.string().max(40).describe('The day, such as `2026-11-28`.'),
    git: z
      .object({ branch: z.string().max(250), isDirty: z.boolean().describe('True with uncommitted changes.') })
      .optional(),
    instructions: z
      .string()
      .max(MAX_INSTRUCTIONS, 'instructions must have at most 32,768 characters')
      .optional()
      .describe("The folder's `AGENTS.md`."),
  })
  .describe('The place where a client works, for the model. It has no secrets.');
export type Environment = z.infer<typeof Environment>;

export const SessionCreate = z.object({
  sessionId: SessionId.optional().describe(
    'Your id for it, 2 to 128 characters of `A-Z a-z 0-9 _ . : -`. Creating it again with the same values returns the same one.',
  ),
  title: Title.optional(),
  agent: AgentName.optional().describe("The agent that answers. Default: the service's."),
  model: ModelName.optional().describe("Default: the agent's, else the service's."),
  effort: EffortChoice.optional().describe("How much the model thinks. Default: the agent's, else the model's own."),
  project: Project.optional().describe(
    "The workspace's folder, or a repository's name. Sessions of one project share remembered rules.",
  ),
  metadata: Metadata.optional(),
  environment: Environment.optional().describe('It stays as it was when the session was created.'),
});
export type SessionCreate = z.infer<typeof SessionCreate>;

export const SessionMade = z.object({
  session: Session,
  replayed: z
    .boolean()
    .describe('True where the session existed before: a repeated call is answered as the first one.'),
});

export const SessionPage = z.object({
  sessions: z.array(Session).describe('The one that was used last comes first.'),
  nextCursor: z.string().exactOptional().describe('Set while there are more sessions: pass it as `cursor`.'),
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
  effort: EffortChoice.optional(),
  metadata: Metadata.optional(),
});
export type SessionUpdate = z.infer<typeof SessionUpdate>;

const Cursor = z.string().min(1).max(200);
const limit = z.int('limit must be an integer').min(1).max(200).default(50);

export const SessionList = z.object({
  cursor: Cursor.optional(),
  limit,
  search: z.string().max(200).optional().describe('A part of the title, in any case of its letters.'),
  project: Project.optional().describe('The sessions of this project alone.'),
});
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
  clientId: ClientId.optional().describe('The client that follows: while it does, it is there to run its tools.'),
});
export type SessionEvents = z.infer<typeof SessionEvents>;
