import { z } from 'zod';
import { Approval } from './approval.ts';
import { FileChange } from './file-change.ts';
import { CallId, ClientId, InputId, ItemId, RunId, SessionId } from './ids.ts';
import { Input } from './input.ts';
import { Item } from './item.ts';
import { JsonObject } from './json-object.ts';
import { RunEnd, Usage } from './run.ts';
import { Session, SessionState } from './session.ts';
import { ApprovalOutcome, ToolOutcome, ToolTarget } from './tool.ts';
import { WireError } from './wire-error.ts';

function event<const T extends string, S extends z.ZodRawShape>(type: T, shape: S, description?: string) {
  const schema = z.object({
    type: z.literal(type),
    seq: z
      .int()
      .nonnegative()
      .describe(
        'The number of the newest stored event, this one or the one before it. Never decreases within a session.',
      ),
    ts: z.number().describe('Milliseconds since 1970.'),
    ...shape,
  });
  return description === undefined ? schema : schema.describe(description);
}

export const SessionEvent = z
  .discriminatedUnion('type', [
    event('session.updated', { session: Session }),
    event('session.deleted', { sessionId: SessionId }, 'Nothing comes after it.'),
    event('session.state', SessionState.shape),
    event('input.accepted', { input: Input }),
    event('input.delivered', { inputId: InputId, runId: RunId }),
    event('input.cancelled', { inputId: InputId }),
    event('run.started', { runId: RunId, inputId: InputId, agent: z.string(), model: z.string() }),
    event('step.started', { runId: RunId, model: z.string() }),
    event('item.started', { item: Item }),
    event('item.delta', {
      itemId: ItemId,
      text: z.string(),
      offset: z.int().nonnegative().describe('The length of the item before this delta, in UTF-16 code units.'),
    }),
    event('item.completed', { item: Item }, 'Authoritative: the whole item.'),
    event(
      'item.discarded',
      { itemId: ItemId, reason: z.enum(['retried', 'restarted']) },
      'An item that was shown is given up: the agent says it again. It is not in the history.',
    ),
    event('step.finished', {
      runId: RunId,
      model: z.string(),
      usage: Usage,
      costUsd: z.number().optional().describe('Of models that have a price. US dollars.'),
      finishReason: z.string(),
    }),
    event('tool.requested', {
      runId: RunId,
      callId: CallId,
      name: z.string(),
      arguments: JsonObject,
      target: ToolTarget,
      clientId: ClientId.optional().describe('Of a client tool: the client that announced it, and so runs it.'),
      deadline: z.number().describe('Milliseconds since 1970.'),
      paths: z
        .array(z.string())
        .optional()
        .describe('The normalized paths that the rules were checked for; missing where it works on none.'),
      denied: z
        .array(z.string())
        .optional()
        .describe('Globs of the paths that rules deny to this tool: it must leave them out.'),
      root: z
        .string()
        .optional()
        .describe("The session's project, where that is a path: the folder of relative paths, for absolute globs."),
    }),
    event('tool.progress', {
      callId: CallId,
      message: z.string(),
      fraction: z.number().optional().describe('0 to 1.'),
    }),
    event('tool.finished', { callId: CallId, outcome: ToolOutcome }),
    event('approval.requested', { approval: Approval }),
    event(
      'approval.updated',
      { callId: CallId, changes: z.array(FileChange).describe('They replace those that the approval had.') },
      'The client that would run a call has said what it would change.',
    ),
    event('approval.resolved', {
      callId: CallId,
      decision: ApprovalOutcome,
      by: z.string().describe('The name that the person gave; `rule` or `service` where no person decided.'),
    }),
    event('agent.switched', { from: z.string(), to: z.string(), reason: z.string() }),
    event('run.finished', {
      runId: RunId,
      status: RunEnd,
      usage: Usage,
      costUsd: z.number().optional().describe('Of models that have a price. US dollars.'),
      error: WireError.optional(),
    }),
    event('stream.synced', SessionState.shape, 'Later events are live.'),
    event(
      'stream.reset',
      {
        reason: z.enum(['cursor_expired', 'restarted']),
        items: z.array(Item),
        nextCursor: z.string().optional(),
      },
      'Replace what you show by this.',
    ),
  ])
  .describe(
    "Something that happened in a session, told apart by `type`. Ignore types you don't know. `seq` never decreases within a session; `ts` is milliseconds since 1970.",
  );
export type SessionEvent = z.infer<typeof SessionEvent>;

type WithoutNumber<E> = E extends unknown ? Omit<E, 'seq' | 'ts'> : never;

/** An event before the log has numbered it. */
export type NewSessionEvent = WithoutNumber<SessionEvent>;

/** An event with the cursor that a reader resumes from. */
export interface TrackedEvent {
  id: string;
  event: SessionEvent;
}
