import { BoundedMap, CodelabError, changesBytes, MAX_CHANGES_BYTES } from '@codelab/protocol';
import type { Connection } from './connection.ts';
import type { CodelabError as PublicError } from './errors.ts';
import type { Tool } from './tools.ts';
import type { Approval, FileChange, TrackedSessionEvent } from './types.ts';

/** A longer result is cut off: the service takes 8 MiB in one message. UTF-16 code units. */
const MAX_RESULT = 1024 * 1024;
const MAX_REMEMBERED = 1_000;
const WATCH_AGAIN_MS = 1_000;
/** The times that a handler is asked about one call. */
const MAX_ASKED = 10;
/** How long a handler waits for a preview that another client may give. */
const PREVIEW_MS = 2_000;

type Request = Extract<TrackedSessionEvent, { type: 'tool.requested' }>;
type Outcome = { result: unknown } | { error: string };

/** An approval that waits for a decision. */
interface Waiting {
  approval: Approval;
  decided: AbortController;
  /** Resolves once the changes are known, or none are to be expected. */
  foreseen: Promise<void>;
  isForeseen(): void;
}

/** A person's decision on a tool call. */
export interface Decision {
  decision: 'allow' | 'edit' | 'reject';
  /**
   * Remembers that it is allowed: for this session, or for all sessions of its project.
   * @default 'once'
   */
  scope?: 'once' | 'session' | 'project';
  /**
   * The glob that is allowed from now on.
   * @default the `resource` of the request's option of that scope
   */
  resource?: string;
  /** Of `edit`: the arguments to use instead. */
  arguments?: Record<string, unknown>;
  /** Of a patch, with `allow`: the hunks to leave out. */
  dropHunks?: number[];
  /** The reason, for the model. */
  feedback?: string;
  /**
   * The name of the person who decides, for watchers.
   * @default 'user'
   */
  by?: string;
}

/** The context of a request for a decision. */
export interface ApprovalContext {
  /** Aborts once it is decided elsewhere. */
  signal: AbortSignal;
  /**
   * Returns what the call would change, waiting for the client that has the tool to say so. Undefined where it does not within `withinMs`, by default 2000, and at
   * once where none is to be expected, or it is decided elsewhere. `session.events` has what comes later, as `approval.updated`.
   */
  changes(withinMs?: number): Promise<FileChange[] | undefined>;
  /** The reason why the handler's last decision on this call was not taken: it is asked once more. */
  previous?: PublicError;
}

/**
 * Decides on a tool call that waits for a person. Returning nothing leaves the decision to others. A decision that is refused (edited
 * arguments that do not fit, hunks that are not there) is asked for again; the same one again, or the tenth, is given up and goes to `onError`.
 */
export type ApprovalHandler = (
  request: Approval,
  context: ApprovalContext,
) => Decision | undefined | Promise<Decision | undefined>;

/** Runs the tools of one session, and asks for decisions, while the client is open. */
export interface Worker {
  onApproval(handler: ApprovalHandler): () => void;
  decide(callId: string, decision: Decision): Promise<void>;
  stop(): void;
}

export interface WorkerOptions {
  connection: Connection;
  sessionId: string;
  clientId: string;
  tools: Record<string, Tool>;
  /** Resolves once the service knows of the tools. */
  announced: Promise<void>;
  /** Called with errors of background work. */
  onError: (error: unknown) => void;
}

export function createWorker({ connection, sessionId, clientId, tools, announced, onError }: WorkerOptions): Worker {
  const stopped = new AbortController();
  /** Calls that run here, or did, and what came of them. */
  const taken = new BoundedMap<string, { abort: AbortController; outcome?: Outcome }>(MAX_REMEMBERED);
  const waiting = new Map<string, Waiting>();
  const handlers = new Set<ApprovalHandler>();
  let isWatching = false;

  const watch = (): void => {
    if (isWatching) return;
    isWatching = true;
    const follow = async () => {
      while (!stopped.signal.aborted) {
        try {
          for await (const event of connection.watch({ sessionId, clientId, signal: stopped.signal })) take(event);
        } catch (error) {
          if (stopped.signal.aborted) return;
          onError(error);
          // A service that is away comes back; a session or a key that is gone does not.
          if (!(error instanceof CodelabError) || !error.retryable) return;
          await new Promise((resolve) => setTimeout(resolve, WATCH_AGAIN_MS));
        }
      }
    };
    follow().finally(() => {
      isWatching = false;
    });
  };

  const take = (event: TrackedSessionEvent): void => {
    switch (event.type) {
      case 'tool.requested':
        if (event.target === 'client' && event.clientId === clientId) void run(event);
        break;
      case 'tool.finished':
        taken.get(event.callId)?.abort.abort();
        break;
      case 'approval.requested': {
        const { approval } = event;
        if (waiting.has(approval.callId)) break;
        const entry = toWaiting(approval);
        waiting.set(approval.callId, entry);
        void foresee(entry);
        for (const handler of handlers) void ask(approval.callId, handler);
        break;
      }
      case 'approval.updated': {
        const entry = waiting.get(event.callId);
        if (entry === undefined) break;
        entry.approval = { ...entry.approval, changes: event.changes };
        entry.isForeseen();
        break;
      }
      case 'approval.resolved':
        settle(event.callId);
        break;
      case 'stream.reset':
        // What still waits is announced again.
        for (const callId of waiting.keys()) settle(callId);
    }
  };

  const settle = (callId: string): void => {
    const entry = waiting.get(callId);
    entry?.decided.abort();
    entry?.isForeseen();
    waiting.delete(callId);
  };

  /** Tells the service what a call of a tool of this client would change. */
  const foresee = async ({ approval, decided, isForeseen }: Waiting): Promise<void> => {
    const { callId, name, arguments: args, kind, preview: policy } = approval;
    const { signal } = decided;
    const tool = toolOf(name);
    // Another client may have it, and say.
    if (policy !== undefined && tool === undefined && (kind === 'write' || kind === 'delete')) return;
    const context = { sessionId, callId, signal, ...policy };
    const changes = policy === undefined ? undefined : await tool?.preview?.(args, context).catch(() => undefined);
    if (!Array.isArray(changes) || changes.length === 0) return isForeseen();
    await announced;
    if (signal.aborted || stopped.signal.aborted) return;
    try {
      const preview = { sessionId, callId, clientId, changes: withinLimit(changes) };
      const { replayed } = await connection.call((trpc, options) => trpc.approval.preview.mutate(preview, options));
      if (replayed) isForeseen();
    } catch (error) {
      // The call would go to another client, which may say.
      if (isOneOf(error, 'FORBIDDEN')) return;
      isForeseen();
      if (!stopped.signal.aborted && !isOneOf(error, 'APPROVAL_ALREADY_RESOLVED', 'NOT_FOUND')) onError(error);
    }
  };

  const toolOf = (name: string): Tool | undefined => (Object.hasOwn(tools, name) ? tools[name] : undefined);

  const run = async (request: Request): Promise<void> => {
    const { callId } = request;
    const before = taken.get(callId);
    if (before !== undefined) {
      // It is asked for again because its result has not arrived: it is sent again, and nothing is done again.
      if (before.outcome !== undefined) await deliver(callId, before.outcome);
      return;
    }
    const call: { abort: AbortController; outcome?: Outcome } = { abort: new AbortController() };
    taken.set(callId, call);
    call.outcome = await execute(request, call.abort.signal);
    if (!call.abort.signal.aborted) await deliver(callId, call.outcome);
  };

  const deliver = async (callId: string, outcome: Outcome): Promise<void> => {
    try {
      await connection.call((trpc, options) => trpc.tool.result.mutate({ sessionId, callId, ...outcome }, options));
    } catch (error) {
      // The result came too late, or the session is gone.
      if (!isOneOf(error, 'TOOL_CALL_FINISHED', 'NOT_FOUND')) onError(error);
    }
  };

  const execute = async (
    { callId, name, arguments: args, paths, denied, root }: Request,
    signal: AbortSignal,
  ): Promise<Outcome> => {
    try {
      const tool = toolOf(name);
      if (tool === undefined) throw new Error(`This client has no tool "${name}".`);
      const result = await tool.run(args, {
        sessionId,
        callId,
        signal,
        paths,
        denied,
        root,
        progress(message, fraction) {
          connection
            .call((trpc, options) => trpc.tool.progress.mutate({ sessionId, callId, message, fraction }, options))
            .catch(() => {});
        },
      });
      return { result: cut(result) };
    } catch (error) {
      return { error: cut(error instanceof Error ? error.message || error.name : String(error)) };
    }
  };

  const ask = async (callId: string, handler: ApprovalHandler): Promise<void> => {
    const entry = waiting.get(callId);
    if (entry === undefined) return;
    const { signal } = entry.decided;
    const changes = async (withinMs = PREVIEW_MS) => {
      if (entry.approval.changes === undefined) await atMost(withinMs, entry.foreseen);
      return entry.approval.changes;
    };
    let refused: { decision: string; error: CodelabError } | undefined;
    for (let times = 1; ; times++) {
      try {
        const previous = refused === undefined ? {} : { previous: refused.error };
        const decision = await handler(entry.approval, { signal, changes, ...previous });
        if (decision === undefined || signal.aborted) return;
        const made = JSON.stringify(decision);
        // The same again would be refused again.
        if (refused?.decision === made || times > MAX_ASKED) return onError(refused?.error);
        const refusal = await refusalOf(callId, decision);
        if (refusal === undefined) return;
        refused = { decision: made, error: refusal };
      } catch (error) {
        return onError(error);
      }
      if (signal.aborted || stopped.signal.aborted) return;
    }
  };

  /** Decides, and returns why that was not taken. Throws what asking again does not mend. */
  const refusalOf = async (callId: string, decision: Decision): Promise<CodelabError | undefined> => {
    try {
      await decide(callId, decision);
      return undefined;
    } catch (error) {
      // Somebody else was first, or the run is over.
      if (isOneOf(error, 'APPROVAL_ALREADY_RESOLVED', 'NOT_FOUND')) return undefined;
      if (isOneOf(error, 'VALIDATION', 'FORBIDDEN')) return error as CodelabError;
      throw error;
    }
  };

  const decide: Worker['decide'] = async (callId, decision) => {
    await connection.call((trpc, options) => trpc.approval.decide.mutate({ sessionId, callId, ...decision }, options));
  };

  if (Object.keys(tools).length > 0) watch();
  return {
    onApproval(handler) {
      handlers.add(handler);
      for (const callId of waiting.keys()) void ask(callId, handler);
      watch();
      return () => void handlers.delete(handler);
    },
    decide,
    stop() {
      stopped.abort();
      for (const { abort } of taken.values()) abort.abort();
    },
  };
}

function isOneOf(error: unknown, ...codes: string[]): boolean {
  return error instanceof CodelabError && codes.includes(error.code);
}

function toWaiting(approval: Approval): Waiting {
  let isForeseen = () => {};
  const foreseen = new Promise<void>((resolve) => {
    isForeseen = resolve;
  });
  return { approval, decided: new AbortController(), foreseen, isForeseen };
}

async function atMost(ms: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

/** Leaves out hunks for which a preview has no room, and says so. */
function withinLimit(changes: FileChange[]): FileChange[] {
  const bare = changes.map((change): FileChange => ({ ...change, hunks: [], omitted: 'too_large' }));
  let left = MAX_CHANGES_BYTES - changesBytes(bare);
  return changes.map((change, index) => {
    const bytes = changesBytes([change]);
    if (bytes > left) return bare[index] as FileChange;
    left -= bytes;
    return change;
  });
}

/** Converts a result to text that fits into one message. */
function cut(result: unknown): string {
  if (result === undefined) return 'Done.';
  const text = typeof result === 'string' ? result : (JSON.stringify(result) ?? String(result));
  if (text.length <= MAX_RESULT) return text;
  return `${text.slice(0, MAX_RESULT)}\n[${text.length - MAX_RESULT} of ${text.length} characters were cut off]`;
}
