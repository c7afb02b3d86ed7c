// Generated from packages/protocol/src by "npm run generate": what is to be changed is changed there.

export interface CreateSessionOptions {
  /**
   * Your id for it, 2 to 128 characters of `A-Z a-z 0-9 _ . : -`. Creating it again with the same values returns the
   * same one.
   */
  sessionId?: string | undefined;
  title?: string | undefined;
  /** The agent that answers. Default: the service's. */
  agent?: string | undefined;
  /** Default: the agent's, else the service's. */
  model?: string | undefined;
  /** How much the model thinks. Default: the agent's, else the model's own. */
  effort?: EffortChoice | undefined;
  /** The workspace's folder, or a repository's name. Sessions of one project share remembered rules. */
  project?: string | undefined;
  metadata?: Record<string, string> | undefined;
  /** It stays as it was when the session was created. */
  environment?: Environment | undefined;
}

/** An effort, or `default`: as the agent says, else the model's own. */
export type EffortChoice = 'default' | 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max';

/** The place where a client works, for the model. It has no secrets. */
export interface Environment {
  /** The workspace's folder. */
  folder: string;
  /** The operating system. */
  system: string;
  /** The day, such as `2026-11-28`. */
  date: string;
  git?:
    | {
        branch: string;
        /** True with uncommitted changes. */
        isDirty: boolean;
      }
    | undefined;
  /** The folder's `AGENTS.md`. */
  instructions?: string | undefined;
}

export interface SessionMade {
  session: SessionInfo;
  /** True where the session existed before: a repeated call is answered as the first one. */
  replayed: boolean;
}

/** One conversation. */
export interface SessionInfo {
  sessionId: string;
  /** The beginning of its first message until somebody names it; empty before that. */
  title: string;
  /** The agent that answers. */
  agent: string;
  /** `provider/model`, or `default`: the agent's, else the service's. */
  model: string;
  /** How much the model thinks. `default`: as the agent says, else the model's own. */
  effort?: EffortChoice | undefined;
  /** The project: its sessions share remembered rules. */
  project: string;
  /** Your own labels. */
  metadata: Record<string, string>;
  /** Of a fork: its origin. */
  forkedFrom?:
    | {
        sessionId: string;
        itemId?: string | undefined;
      }
    | undefined;
  createdAt: Date;
  /** The last use: a message, or a change. */
  updatedAt: Date;
}

export interface SessionPage {
  /** The one that was used last comes first. */
  sessions: SessionInfo[];
  /** Set while there are more sessions: pass it as `cursor`. */
  nextCursor?: string;
}

export interface Deleted {
  /** False where there was no such session or rule. */
  deleted: boolean;
}

/** A part of the history. */
export interface ItemPage {
  /** Oldest first. */
  items: Item[];
  /** Set while there are older items: pass it as `cursor`. */
  nextCursor?: string;
}

/** One entry of the history that a person sees. */
export interface Item {
  itemId: string;
  /** The run that it belongs to; empty for what happened between runs. */
  runId: string;
  /** The run's step that it belongs to, from 1; 0: none. */
  step: number;
  /** Of a `user_message`: the input that it came with. */
  inputId?: string | undefined;
  kind:
    | 'user_message'
    | 'assistant_message'
    | 'reasoning'
    | 'tool_call'
    | 'file_change'
    | 'plan'
    | 'compaction'
    | 'agent_switch'
    | 'notice';
  /** The text; of a `tool_call` the arguments as the model wrote them, of a `compaction` the summary. */
  text: string;
  /** `incomplete`: the run was cancelled or failed before the item was whole. */
  status: 'in_progress' | 'completed' | 'incomplete';
  createdAt: Date;
  attachments?: AttachmentInfo[] | undefined;
  toolCall?: ToolCallInfo | undefined;
  fileChange?:
    | {
        callId: string;
        changes: FileChange[];
      }
    | undefined;
  plan?: PlanEntry[] | undefined;
  /** The size of the model's context before and after, in tokens; an estimate. */
  compaction?:
    | {
        tokensBefore: number;
        tokensAfter: number;
      }
    | undefined;
  agentSwitch?:
    | {
        from: string;
        to: string;
        reason: string;
        by: 'user' | 'model';
      }
    | undefined;
}

export interface AttachmentInfo {
  name: string;
  mimeType: string;
  bytes: number;
}

/** The call of an item of kind `tool_call`. Its `text` is the arguments as the model wrote them. */
export interface ToolCallInfo {
  callId: string;
  name: string;
  /** As they are used: parsed, and edited where a person did. */
  arguments?: Record<string, unknown> | undefined;
  target?: ToolTarget | undefined;
  outcome?: ToolOutcome | undefined;
  /** The result as the model was given it. */
  result?: string | undefined;
  /** Names the whole result, where `result` is only a part of it: `tool.readResult`. */
  resultId?: string | undefined;
  /** The decision, where a person was asked. */
  decision?: Resolution | undefined;
}

/** The place where a tool runs: in the IDE, in the service, in an MCP server. */
export type ToolTarget = 'client' | 'server' | 'mcp';

export type ToolOutcome = 'succeeded' | 'failed' | 'rejected' | 'denied' | 'timed_out' | 'cancelled';

/** The end of an approval. */
export interface Resolution {
  decision: ApprovalOutcome;
  /** The name that the person gave; `rule` or `service` where no person decided. */
  by: string;
  /** Milliseconds since 1970. */
  decidedAt: number;
}

/** `cancelled`, `timed_out`: nobody decided. */
export type ApprovalOutcome = 'allow' | 'edit' | 'reject' | 'cancelled' | 'timed_out';

/** The change of one file, in hunks. Those of a patch a person may leave out. */
export interface FileChange {
  path: string;
  change: 'create' | 'modify' | 'delete';
  hunks: Array<{
    /** The number of the hunk over all files, from 0; of a patch as `dropHunks` takes it. */
    hunk: number;
    header: string;
    /** Each begins with a space, `+` or `-`; with `\` where it remarks on the line before. */
    lines: string[];
  }>;
  /** The reason why there are no hunks, though the content changes. */
  omitted?: 'binary' | 'too_large' | undefined;
}

export interface PlanEntry {
  text: string;
  status: 'pending' | 'in_progress' | 'completed';
}

/** A file that comes with a message: PNG, JPEG, GIF, WebP and PDF as `data` in base64, everything else as `text`. */
export interface Attachment {
  name: string;
  mimeType: string;
  /** The bytes, in base64. */
  data?: string | undefined;
  text?: string | undefined;
}

export interface InputSent {
  inputId: string;
  status: 'queued' | 'delivered' | 'cancelled';
  /** True where this id was sent before: a repeated call is answered as the first one. */
  replayed: boolean;
  /** The run that it was delivered to, if it was. */
  runId?: string;
  /** A cursor from just before its `input.accepted`: subscribe from here for the answer. */
  eventId: string;
}

/** A message as the service keeps it. */
export interface Input {
  inputId: string;
  sessionId: string;
  content: string;
  attachments?: AttachmentInfo[] | undefined;
  /** Overrides the session's model for this input. */
  model?: string | undefined;
  /** Overrides the session's effort for this input. */
  effort?: EffortChoice | undefined;
  status: 'queued' | 'delivered' | 'cancelled';
  /** The run that it was delivered to. */
  runId?: string | undefined;
  createdAt: Date;
}

export interface InputCancelled {
  status: 'cancelled';
}

/** The agent's work on one or more messages, until it is idle again. */
export interface RunInfo {
  runId: string;
  sessionId: string;
  /** The input that it began with. */
  inputId: string;
  agent: string;
  model: string;
  status: 'running' | 'completed' | 'cancelled' | 'failed' | 'limit';
  steps: number;
  usage: Usage;
  /** Of models that have a price. US dollars. */
  costUsd?: number | undefined;
  error?: WireError | undefined;
  startedAt: Date;
  finishedAt?: Date | undefined;
}

/** Tokens. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
  /** Read from the provider's cache; part of `inputTokens`. */
  cachedTokens: number;
  /** Written to the provider's cache; part of `inputTokens`. The rest of those is fresh. */
  cacheWriteTokens: number;
  /** Part of `outputTokens`. */
  reasoningTokens: number;
}

/** An error as it crosses a wire; its `code` is one of the catalogue. */
export interface WireError {
  code: string;
  message: string;
  retryable: boolean;
  requestId: string;
  /** Milliseconds. */
  retryAfterMs?: number | undefined;
  details?: unknown;
}

export interface RunCancelled {
  status: 'cancelling' | 'already_finished';
}

/** A tool as the model and the rules see it. */
export interface ToolSpecInput {
  name: string;
  description?: string | undefined;
  inputSchema: { type: 'object'; [keyword: string]: unknown };
  kind?: ToolKind | undefined;
  /** The argument that names the resource, such as `path`: rules match its value. */
  resource?: string | undefined;
  /** Limits the time of a call. Milliseconds, 1 to 3,600,000; default `AGENT_RUNTIME__TOOL_TIMEOUT_MS`. */
  timeoutMs?: number | undefined;
}

/** The effect of a tool, which decides whether a person is asked: `read` is allowed by default, the others ask. */
export type ToolKind = 'read' | 'write' | 'delete' | 'execute';

export interface ToolsAnnounced {
  /** The number of tools that the client has now. */
  tools: number;
}

export interface ToolList {
  tools: SessionTool[];
  /** Set where something of the MCP servers cannot be used. */
  unusable?: UnusableTool[];
}

/** A tool of a session, with where it runs. */
export interface SessionTool {
  name: string;
  description: string;
  inputSchema: { type: 'object'; [keyword: string]: unknown };
  kind: ToolKind;
  /** The argument that names the resource, such as `path`: rules match its value. */
  resource?: string | undefined;
  /** Limits the time of a call. Milliseconds, 1 to 3,600,000; default `AGENT_RUNTIME__TOOL_TIMEOUT_MS`. */
  timeoutMs?: number | undefined;
  target: ToolTarget;
  /** Of a client's tool: false where no client that has it is connected. */
  connected?: boolean | undefined;
}

/** A tool of an MCP server, or an MCP server, that cannot be used. */
export interface UnusableTool {
  server: string;
  /** As the server names it; missing where it is the server's whole entry. */
  tool?: string;
  reason: string;
}

export interface ResultTaken {
  status: 'accepted';
  /** True where the call had this result before. */
  replayed: boolean;
}

export interface ProgressTaken {
  status: 'accepted';
}

export interface ResultPart {
  text: string;
  /** Of the whole result, in UTF-16 code units. */
  length: number;
}

export interface ApprovalList {
  approvals: Approval[];
}

/** A tool call that waits for a person. */
export interface Approval {
  callId: string;
  runId: string;
  name: string;
  arguments: Record<string, unknown>;
  kind: ToolKind;
  target: ToolTarget;
  /** The reason for asking, for a person. */
  reason: string;
  /**
   * The possible scopes, and the glob that a remembered approval would allow. Only `once`: such calls are asked for each
   * time.
   */
  options: Array<{
    scope: 'once' | 'session' | 'project';
    resource?: string | undefined;
  }>;
  /**
   * Of `apply_patch`: its changes. Of another tool of a client: the changes that it foresees, once it has said so
   * (`approval.updated`).
   */
  changes?: FileChange[] | undefined;
  /**
   * Set where the client that has the tool may say what the call would change: `approval.preview`. The paths and rules
   * that it keeps to.
   */
  preview?:
    | {
        /** The normalized paths that the rules were checked for. */
        paths?: string[] | undefined;
        /** Globs of the paths that rules deny to this tool, or to `read_file`: nothing of them may be shown. */
        denied?: string[] | undefined;
        /** The session's project, where that is a path: the folder of relative paths, for absolute globs. */
        root?: string | undefined;
      }
    | undefined;
  createdAt: Date;
  /** The time after which it counts as rejected. */
  deadline: Date;
}

export interface ApprovalDecided {
  status: 'resolved';
  /** True where the same was decided before. */
  replayed: boolean;
}

export interface PreviewTaken {
  status: 'accepted';
  /** True where the approval had these changes before. */
  replayed: boolean;
}

export interface RuleList {
  rules: Rule[];
}

/**
 * Allows calls without asking (`allow`), or denies them (`deny`). For commands a rule is a convenience, not a
 * boundary: the same can be written in a hundred ways.
 */
export interface Rule {
  /** A tool's name; `*` stands for any run of characters. */
  tool: string;
  /** A glob over what the tool works on: a path, a command. A leading `!` negates it. Default: everything. */
  resource: string;
  effect: 'allow' | 'deny' | 'ask';
  ruleId: string;
  scope: 'session' | 'project';
  createdAt: Date;
}

export interface RuleAdded {
  rule: Rule;
}

export interface AgentList {
  agents: AgentInfo[];
  defaultAgent: string;
}

/** An agent as a person chooses it. */
export interface AgentInfo {
  name: string;
  description: string;
  /** The model that it asks for, where it does. */
  model?: string;
  /** How much its model thinks, where it says so. */
  effort?: Effort;
  /** The names of its tools, with `*` as a wildcard; without: all. */
  tools?: string[];
}

/** How much the model thinks before it answers. Left out for a model that does not take it. */
export type Effort = 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max';

export interface AgentSwitched {
  from: string;
  to: string;
}

export interface ModelList {
  /** The default model first. */
  models: ModelInfo[];
  defaultModel: string;
}

export interface ModelInfo {
  /** The value to pass as `model`. */
  id: string;
  provider: string;
  /** The provider's name for it. */
  name: string;
}

/** The usage of one session, or of all. */
export interface UsageReport {
  usage: Usage;
  /** US dollars, of the steps whose model has a price. */
  costUsd: number;
  steps: number;
  byModel: Array<{
    model: string;
    usage: Usage;
    /** US dollars, of the steps whose model has a price. */
    costUsd: number;
    steps: number;
  }>;
}

/**
 * Something that happened in a session, told apart by `type`. Ignore types you don't know. `seq` never decreases
 * within a session; `ts` is milliseconds since 1970.
 */
export type SessionEvent =
  | {
      type: 'session.updated';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      session: SessionInfo;
    }
  /** Nothing comes after it. */
  | {
      type: 'session.deleted';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      sessionId: string;
    }
  | {
      type: 'session.state';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      /** `waiting`: for a person's decision, or for a client that has the tool. */
      state: 'idle' | 'running' | 'waiting';
      runId?: string | undefined;
      /** The number of messages that wait behind the active run. */
      queued: number;
    }
  | {
      type: 'input.accepted';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      input: Input;
    }
  | {
      type: 'input.delivered';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      inputId: string;
      runId: string;
    }
  | {
      type: 'input.cancelled';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      inputId: string;
    }
  | {
      type: 'run.started';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      runId: string;
      inputId: string;
      agent: string;
      model: string;
    }
  | {
      type: 'step.started';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      runId: string;
      model: string;
    }
  | {
      type: 'item.started';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      item: Item;
    }
  | {
      type: 'item.delta';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      itemId: string;
      text: string;
      /** The length of the item before this delta, in UTF-16 code units. */
      offset: number;
    }
  /** Authoritative: the whole item. */
  | {
      type: 'item.completed';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      item: Item;
    }
  /** An item that was shown is given up: the agent says it again. It is not in the history. */
  | {
      type: 'item.discarded';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      itemId: string;
      reason: 'retried' | 'restarted';
    }
  | {
      type: 'step.finished';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      runId: string;
      model: string;
      usage: Usage;
      /** Of models that have a price. US dollars. */
      costUsd?: number | undefined;
      finishReason: string;
    }
  | {
      type: 'tool.requested';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      runId: string;
      callId: string;
      name: string;
      arguments: Record<string, unknown>;
      target: ToolTarget;
      /** Of a client tool: the client that announced it, and so runs it. */
      clientId?: string | undefined;
      /** Milliseconds since 1970. */
      deadline: number;
      /** The normalized paths that the rules were checked for; missing where it works on none. */
      paths?: string[] | undefined;
      /** Globs of the paths that rules deny to this tool: it must leave them out. */
      denied?: string[] | undefined;
      /** The session's project, where that is a path: the folder of relative paths, for absolute globs. */
      root?: string | undefined;
    }
  | {
      type: 'tool.progress';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      callId: string;
      message: string;
      /** 0 to 1. */
      fraction?: number | undefined;
    }
  | {
      type: 'tool.finished';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      callId: string;
      outcome: ToolOutcome;
    }
  | {
      type: 'approval.requested';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      approval: Approval;
    }
  /** The client that would run a call has said what it would change. */
  | {
      type: 'approval.updated';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      callId: string;
      /** They replace those that the approval had. */
      changes: FileChange[];
    }
  | {
      type: 'approval.resolved';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      callId: string;
      decision: ApprovalOutcome;
      /** The name that the person gave; `rule` or `service` where no person decided. */
      by: string;
    }
  | {
      type: 'agent.switched';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      from: string;
      to: string;
      reason: string;
    }
  | {
      type: 'run.finished';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      runId: string;
      status: RunEnd;
      usage: Usage;
      /** Of models that have a price. US dollars. */
      costUsd?: number | undefined;
      error?: WireError | undefined;
    }
  /** Later events are live. */
  | {
      type: 'stream.synced';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      /** `waiting`: for a person's decision, or for a client that has the tool. */
      state: 'idle' | 'running' | 'waiting';
      runId?: string | undefined;
      /** The number of messages that wait behind the active run. */
      queued: number;
    }
  /** Replace what you show by this. */
  | {
      type: 'stream.reset';
      /** The number of the newest stored event, this one or the one before it. Never decreases within a session. */
      seq: number;
      /** Milliseconds since 1970. */
      ts: number;
      reason: 'cursor_expired' | 'restarted';
      items: Item[];
      nextCursor?: string | undefined;
    };

/** The end of a run. `limit`: the context was full, or the run had too many steps. */
export type RunEnd = 'completed' | 'cancelled' | 'failed' | 'limit';

/** An event with its cursor: pass the `id` as `lastEventId` to go on after it. */
export type TrackedSessionEvent = SessionEvent & { id: string };

/** The codes of errors. The list may grow: treat a code you don't know by `retryable`. */
export type ErrorCode =
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'VALIDATION'
  | 'PAYLOAD_TOO_LARGE'
  | 'PROTOCOL_VERSION_UNSUPPORTED'
  | 'SESSION_BUSY'
  | 'RUN_NOT_ACTIVE'
  | 'INPUT_ALREADY_DELIVERED'
  | 'APPROVAL_ALREADY_RESOLVED'
  | 'ANSWER_REPLACED'
  | 'TOOL_CALL_FINISHED'
  | 'IDEMPOTENCY_MISMATCH'
  | 'OVERLOADED'
  | 'RATE_LIMITED'
  | 'BUDGET_EXCEEDED'
  | 'TOOL_TIMEOUT'
  | 'MODEL_NOT_FOUND'
  | 'CONTEXT_WINDOW_EXCEEDED'
  | 'CONTENT_FILTERED'
  | 'PROVIDER_AUTH'
  | 'PROVIDER_RATE_LIMIT'
  | 'PROVIDER_UNAVAILABLE'
  | 'PROVIDER_STREAM_LOST'
  | 'INTERNAL';

/** Says what each procedure takes and answers: the types of `client.call`. */
export interface Procedures {
  /** Create a session. */
  'session.create': { input: CreateSessionOptions; output: SessionMade };
  /** Get a session. */
  'session.get': {
    input: {
      sessionId: string;
    };
    output: SessionInfo;
  };
  /** List sessions, the one used last first. */
  'session.list': {
    input: {
      cursor?: string | undefined;
      limit?: number | undefined;
      /** A part of the title, in any case of its letters. */
      search?: string | undefined;
      /** The sessions of this project alone. */
      project?: string | undefined;
    };
    output: SessionPage;
  };
  /** Change a session. */
  'session.update': {
    input: {
      sessionId: string;
      title?: string | undefined;
      model?: string | undefined;
      effort?: EffortChoice | undefined;
      metadata?: Record<string, string> | undefined;
    };
    output: SessionInfo;
  };
  /** Copy a session up to an item. Without `itemId` all that was said is copied. */
  'session.fork': {
    input: {
      sessionId: string;
      /** The last item that the fork has. Default: the newest. */
      itemId?: string | undefined;
      /** The fork's id. Made by the client, so that forking again is harmless. */
      newSessionId?: string | undefined;
      title?: string | undefined;
    };
    output: SessionMade;
  };
  /** Delete a session. Its run is cancelled. */
  'session.delete': {
    input: {
      sessionId: string;
    };
    output: Deleted;
  };
  /** Read the history, newest last. A page has at most about 1 MiB; `nextCursor` leads to older items. */
  'session.items': {
    input: {
      sessionId: string;
      cursor?: string | undefined;
      limit?: number | undefined;
    };
    output: ItemPage;
  };
  /** Send a message. */
  'input.send': {
    input: {
      sessionId: string;
      /** Your id for this message: sending again with the same id is harmless. */
      inputId: string;
      content: string;
      attachments?: Attachment[] | undefined;
      /** Switches the session to this agent first. */
      agent?: string | undefined;
      model?: string | undefined;
      effort?: EffortChoice | undefined;
      /**
       * Chooses what happens while another run is active. `queue`: wait for it; `steer`: into that run, before its next
       * step; `interrupt`: cancel it and go on with this; `reject`: refuse with `SESSION_BUSY`.
       */
      whenBusy?: 'queue' | 'steer' | 'interrupt' | 'reject' | undefined;
      /** Create the session if there is none with this id. */
      createSession?: boolean | undefined;
    };
    output: InputSent;
  };
  /** Get a message and what became of it. */
  'input.get': {
    input: {
      sessionId: string;
      inputId: string;
    };
    output: Input;
  };
  /** Take back a message that still waits. `INPUT_ALREADY_DELIVERED` has `{runId}` as details. */
  'input.cancel': {
    input: {
      sessionId: string;
      inputId: string;
    };
    output: InputCancelled;
  };
  /** Get a run. */
  'run.get': {
    input: {
      sessionId: string;
      runId: string;
    };
    output: RunInfo;
  };
  /** Cancel the active run. */
  'run.cancel': {
    input: {
      sessionId: string;
      runId?: string | undefined;
    };
    output: RunCancelled;
  };
  /** Announce the tools that a client runs. All the tools of that client. */
  'tool.announce': {
    input: {
      sessionId: string;
      /** The client that runs them. */
      clientId: string;
      /** All the tools of this client: what it announced before is forgotten. */
      tools: ToolSpecInput[];
    };
    output: ToolsAnnounced;
  };
  /** List the tools of a session. */
  'tool.list': {
    input: {
      sessionId: string;
    };
    output: ToolList;
  };
  /**
   * Give the result of a tool call. Either `result` or `error`. With `decides` it is also the decision that the call
   * waits for.
   */
  'tool.result': {
    input: {
      sessionId: string;
      callId: string;
      /** Anything that JSON has; text is given to the model as it is. */
      result?: unknown;
      /** The reason of a failure, for the model. */
      error?: string | undefined;
      /**
       * For clients that make a call before they are asked about it. Where it waits for a decision, this is it: `result`
       * allows and is taken, `error` rejects with it as feedback. Default: such a result is refused.
       */
      decides?: boolean | undefined;
    };
    output: ResultTaken;
  };
  /** Say how far a tool call is. Its time begins anew. */
  'tool.progress': {
    input: {
      sessionId: string;
      callId: string;
      message: string;
      /** 0 to 1. */
      fraction?: number | undefined;
    };
    output: ProgressTaken;
  };
  /** Read a part of a large tool result. `offset`, `limit` and `length` count UTF-16 code units. */
  'tool.readResult': {
    input: {
      sessionId: string;
      resultId: string;
      /** In UTF-16 code units. */
      offset?: number | undefined;
      limit?: number | undefined;
    };
    output: ResultPart;
  };
  /** List the tool calls that wait for a decision. */
  'approval.list': {
    input: {
      sessionId: string;
    };
    output: ApprovalList;
  };
  /** Allow, edit or reject a tool call. PROTOCOL.md §10. */
  'approval.decide': {
    input: {
      sessionId: string;
      callId: string;
      decision: 'allow' | 'edit' | 'reject';
      /** Remembers the approval as a rule. */
      scope?: 'once' | 'session' | 'project' | undefined;
      /** The glob of that rule. Default: as `options` says. */
      resource?: string | undefined;
      /** Of `edit`: the arguments to use instead. */
      arguments?: Record<string, unknown> | undefined;
      /** Of `apply_patch`, with `allow`: the hunks to leave out. */
      dropHunks?: number[] | undefined;
      /** The reason, for the model. */
      feedback?: string | undefined;
      /** The name of the person who decides, for watchers. */
      by?: string | undefined;
    };
    output: ApprovalDecided;
  };
  /** Say what a tool call would change, for the person who decides. From the client that would run it. PROTOCOL.md §10. */
  'approval.preview': {
    input: {
      sessionId: string;
      callId: string;
      /** The client that would run the call. */
      clientId: string;
      /** The changes that the call would make; they replace those that were given before. At most 256 KiB. */
      changes: FileChange[];
    };
    output: PreviewTaken;
  };
  /** List what is remembered. */
  'rule.list': {
    input: {
      sessionId: string;
    };
    output: RuleList;
  };
  /** Add a rule. */
  'rule.add': {
    input: {
      /** A tool's name; `*` stands for any run of characters. */
      tool: string;
      /** A glob over what the tool works on: a path, a command. A leading `!` negates it. Default: everything. */
      resource?: string | undefined;
      effect: 'allow' | 'deny' | 'ask';
      sessionId: string;
      scope?: 'session' | 'project' | undefined;
    };
    output: RuleAdded;
  };
  /** Forget a rule. */
  'rule.delete': {
    input: {
      sessionId: string;
      ruleId: string;
    };
    output: Deleted;
  };
  /** List agents. */
  'agent.list': { input: Record<string, never>; output: AgentList };
  /** Switch the agent. */
  'agent.switch': {
    input: {
      sessionId: string;
      agent: string;
      reason?: string | undefined;
    };
    output: AgentSwitched;
  };
  /** List models. */
  'model.list': { input: Record<string, never>; output: ModelList };
  /** Get what one session has used, or all. */
  'usage.get': {
    input: {
      sessionId?: string | undefined;
    };
    output: UsageReport;
  };
}

/** Says what each subscription takes, and what its events are. */
export interface Subscriptions {
  /** Follow the session's events (server-sent events, resumed by Last-Event-ID). */
  'session.events': {
    input: {
      sessionId: string;
      /** The id of the last event that the reader has. What follows it is sent. */
      lastEventId?: string | null | undefined;
      /** The beginning without a `lastEventId`. */
      from?: 'now' | 'start' | undefined;
      /** Without a `lastEventId`: begin where this input is accepted, and wait for it where it is still on its way. */
      inputId?: string | undefined;
      /** The client that follows: while it does, it is there to run its tools. */
      clientId?: string | undefined;
    };
    output: SessionEvent;
  };
}

/** Says which procedures only look, and which change something. */
export const procedureTypes = {
  'session.create': 'mutation',
  'session.get': 'query',
  'session.list': 'query',
  'session.update': 'mutation',
  'session.fork': 'mutation',
  'session.delete': 'mutation',
  'session.items': 'query',
  'input.send': 'mutation',
  'input.get': 'query',
  'input.cancel': 'mutation',
  'run.get': 'query',
  'run.cancel': 'mutation',
  'tool.announce': 'mutation',
  'tool.list': 'query',
  'tool.result': 'mutation',
  'tool.progress': 'mutation',
  'tool.readResult': 'query',
  'approval.list': 'query',
  'approval.decide': 'mutation',
  'approval.preview': 'mutation',
  'rule.list': 'query',
  'rule.add': 'mutation',
  'rule.delete': 'mutation',
  'agent.list': 'query',
  'agent.switch': 'mutation',
  'model.list': 'query',
  'usage.get': 'query',
} as const satisfies Record<keyof Procedures, 'query' | 'mutation'>;
