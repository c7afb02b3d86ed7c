import { newId } from '@codelab/protocol';
import type { Connection } from './connection.ts';
import { createRun, type Run } from './run.ts';
import type {
  Approval,
  Attachment,
  EffortChoice,
  ItemPage,
  Rule,
  SessionInfo,
  TrackedSessionEvent,
  UsageReport,
} from './types.ts';
import type { ApprovalHandler, Decision, Worker } from './worker.ts';

export interface SendOptions {
  /**
   * Your id for this message: sending again with the same id is harmless.
   * @default a new one
   */
  inputId?: string | undefined;
  /** Files sent with the message: at most 20, 6 MiB together. */
  attachments?: Attachment[] | undefined;
  /** Switches the session to this agent first. */
  agent?: string | undefined;
  /** Overrides the session's model for this message. */
  model?: string | undefined;
  /** Overrides the session's effort for this message. */
  effort?: EffortChoice | undefined;
  /**
   * Chooses what happens while another run is active. `queue`: wait for it; `steer`: into that run, before its next step;
   * `interrupt`: cancel it and go on with this; `reject`: throw `SESSION_BUSY`.
   * @default 'queue'
   */
  whenBusy?: 'queue' | 'steer' | 'interrupt' | 'reject' | undefined;
}

export interface EventsOptions {
  /** The `id` of the last event you have. */
  lastEventId?: string | undefined;
  /**
   * The beginning without `lastEventId`.
   * @default 'now'
   */
  from?: 'now' | 'start' | undefined;
  /** Ends the iteration. */
  signal?: AbortSignal | undefined;
}

/** One conversation with the agent. */
export interface Session {
  readonly id: string;
  /** The session as it was when this object was made. */
  readonly info: SessionInfo;
  /** Sends a message at once. The run goes on whether or not its answer is read. */
  send(content: string, options?: SendOptions): Run;
  /** Yields the session's events, across reconnects, resumable by `lastEventId`. Never ends by itself. */
  events(options?: EventsOptions): AsyncIterable<TrackedSessionEvent>;
  /** Returns a page of the history, the newest page first. `limit`: 1 to 200, default 50. */
  items(options?: { cursor?: string | undefined; limit?: number | undefined }): Promise<ItemPage>;
  /** Stops the active run, if there is one. */
  cancel(): Promise<void>;
  /** Calls `handler` for each tool call that waits for a decision, or already does. Returns a function that removes the handler. */
  onApproval(handler: ApprovalHandler): () => void;
  /** Returns the tool calls that wait for a decision. */
  approvals(): Promise<Approval[]>;
  /** Decides on a tool call. The same decision again is harmless; throws `APPROVAL_ALREADY_RESOLVED` where another one was made. */
  decide(callId: string, decision: Decision): Promise<void>;
  /** The remembered rules of this session and its project. */
  readonly rules: {
    list(): Promise<Rule[]>;
    /** `resource` defaults to everything, `scope` to `session`. */
    add(rule: Pick<Rule, 'tool' | 'effect'> & Partial<Pick<Rule, 'resource' | 'scope'>>): Promise<Rule>;
    delete(ruleId: string): Promise<void>;
  };
  /** Switches to another agent, which has the whole history: from the next step on, if a run is active. */
  switchAgent(agent: string, reason?: string): Promise<void>;
  /** Copies the history, up to `itemId` or all of it, into a new session. */
  fork(options?: {
    itemId?: string | undefined;
    sessionId?: string | undefined;
    title?: string | undefined;
  }): Promise<Session>;
  update(changes: {
    title?: string | undefined;
    model?: string | undefined;
    effort?: EffortChoice | undefined;
    metadata?: Record<string, string> | undefined;
  }): Promise<SessionInfo>;
  usage(): Promise<UsageReport>;
  /** Reads a part of a large tool result. `offset` and `limit` (default 32,768, at most 262,144) count UTF-16 code units. */
  readResult(
    resultId: string,
    options?: { offset?: number | undefined; limit?: number | undefined },
  ): Promise<{ text: string; length: number }>;
  /** Stops running this session's tools and asking for decisions here. The session goes on. */
  close(): void;
  delete(): Promise<void>;
}

export interface SessionOptions {
  connection: Connection;
  info: SessionInfo;
  worker: Worker;
  close: () => void;
  open: (info: SessionInfo) => Promise<Session>;
}

export function createSession({ connection, info, worker, close, open }: SessionOptions): Session {
  const { sessionId } = info;
  return {
    id: sessionId,
    info,
    send(content, { inputId = newId('in'), ...rest } = {}) {
      const requestId = newId('req');
      const accepted = connection.call(async (trpc, options) => {
        const { eventId, runId } = await trpc.input.send.mutate(
          { sessionId, inputId, content, ...rest, requestId },
          options,
        );
        return { eventId, runId };
      });
      return createRun({ connection, sessionId, inputId, accepted });
    },
    events: (options = {}) => ({ [Symbol.asyncIterator]: () => connection.watch({ sessionId, ...options }) }),
    items: (page = {}) => connection.call((trpc, options) => trpc.session.items.query({ sessionId, ...page }, options)),
    async cancel() {
      // Sent again after a cut, it must not stop the next run.
      const requestId = newId('req');
      await connection.call((trpc, options) => trpc.run.cancel.mutate({ sessionId, requestId }, options));
    },
    onApproval: (handler) => worker.onApproval(handler),
    async approvals() {
      return (await connection.call((trpc, options) => trpc.approval.list.query({ sessionId }, options))).approvals;
    },
    decide: (callId, decision) => worker.decide(callId, decision),
    rules: {
      async list() {
        return (await connection.call((trpc, options) => trpc.rule.list.query({ sessionId }, options))).rules;
      },
      async add(rule) {
        return (await connection.call((trpc, options) => trpc.rule.add.mutate({ sessionId, ...rule }, options))).rule;
      },
      async delete(ruleId) {
        await connection.call((trpc, options) => trpc.rule.delete.mutate({ sessionId, ruleId }, options));
      },
    },
    async switchAgent(agent, reason) {
      await connection.call((trpc, options) => trpc.agent.switch.mutate({ sessionId, agent, reason }, options));
    },
    async fork({ itemId, sessionId: newSessionId = newId('ses'), title } = {}) {
      const { session } = await connection.call((trpc, options) =>
        trpc.session.fork.mutate({ sessionId, itemId, newSessionId, title }, options),
      );
      return open(session);
    },
    update: (changes) =>
      connection.call((trpc, options) => trpc.session.update.mutate({ sessionId, ...changes }, options)),
    usage: () => connection.call((trpc, options) => trpc.usage.get.query({ sessionId }, options)),
    readResult: (resultId, part = {}) =>
      connection.call((trpc, options) => trpc.tool.readResult.query({ sessionId, resultId, ...part }, options)),
    close,
    async delete() {
      close();
      await connection.call((trpc, options) => trpc.session.delete.mutate({ sessionId }, options));
    },
  };
}
