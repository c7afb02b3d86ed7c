import { z } from 'zod';
import { Approval } from './approval.ts';
import { CallId, ClientId, InputId, ItemId, RunId } from './ids.ts';
import { Input } from './input.ts';
import { Item } from './item.ts';
import { JsonObject } from './json-object.ts';
import { EventError, RunStatus, Usage } from './run.ts';
import { Session, SessionState } from './session.ts';
import { ApprovalOutcome, ToolOutcome, ToolTarget } from './tool.ts';

function event<const T extends string, S extends z.ZodRawShape>(type: T, shape: S) {
  return z.object({
    type: z.literal(type),
    /** Strictly increases within a session; gaps are normal. */
    seq: z.int().nonnegative(),
    /** Milliseconds since 1970. */
    ts: z.number(),
    ...shape,
  });
}

/** What happens in a session: the one union that IDEs see. PROTOCOL.md §4. */
export const SessionEvent = z.discriminatedUnion('type', [
  event('session.updated', { session: Session }),
  event('session.state', SessionState.shape),
  event('input.accepted', { input: Input }),
  event('input.delivered', { inputId: InputId, runId: RunId }),
  event('input.cancelled', { inputId: InputId }),
  event('run.started', { runId: RunId, inputId: InputId, agent: z.string(), model: z.string() }),
  event('step.started', { runId: RunId, model: z.string() }),
  event('item.started', { item: Item }),
  event('item.delta', { itemId: ItemId, text: z.string(), offset: z.int().nonnegative() }),
  event('item.completed', { item: Item }),
  /** An item that was being shown is given up: it is not in the history. */
  event('item.discarded', { itemId: ItemId, reason: z.enum(['retried', 'restarted']) }),
  event('step.finished', {
    runId: RunId,
    model: z.string(),
    usage: Usage,
    costUsd: z.number().optional(),
    finishReason: z.string(),
  }),
  event('tool.requested', {
    runId: RunId,
    callId: CallId,
    name: z.string(),
    arguments: JsonObject,
    target: ToolTarget,
    /** Of a client tool: who announced it, and so runs it. */
    clientId: ClientId.optional(),
    /** Milliseconds since 1970. */
    deadline: z.number(),
    /** The paths that the rules were asked about, as they are meant; none where it works on none. */
    paths: z.array(z.string()).optional(),
    /** Globs of the paths that rules deny to this tool: it leaves out what it comes upon of them. */
    denied: z.array(z.string()).optional(),
    /** The session's project, where that is a path: what relative paths are in, for globs from the top. */
    root: z.string().optional(),
  }),
  event('tool.progress', { callId: CallId, message: z.string(), fraction: z.number().optional() }),
  event('tool.finished', { callId: CallId, outcome: ToolOutcome }),
  event('approval.requested', { approval: Approval }),
  event('approval.resolved', { callId: CallId, decision: ApprovalOutcome, by: z.string() }),
  event('agent.switched', { from: z.string(), to: z.string(), reason: z.string() }),
  event('run.finished', {
    runId: RunId,
    status: RunStatus.exclude(['running']),
    usage: Usage,
    costUsd: z.number().optional(),
    error: EventError.optional(),
  }),
  event('stream.synced', SessionState.shape),
  event('stream.reset', {
    reason: z.enum(['cursor_expired', 'restarted']),
    items: z.array(Item),
    nextCursor: z.string().optional(),
  }),
]);
export type SessionEvent = z.infer<typeof SessionEvent>;

type WithoutNumber<E> = E extends unknown ? Omit<E, 'seq' | 'ts'> : never;

/** An event before the log has numbered it. */
export type NewSessionEvent = WithoutNumber<SessionEvent>;

/** An event with the cursor that a reader resumes from. */
export interface TrackedEvent {
  id: string;
  event: SessionEvent;
}
