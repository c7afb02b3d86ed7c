/** One conversation. */
export interface SessionInfo {
  sessionId: string;
  /** Empty until somebody names it. */
  title: string;
  /** Who answers. */
  agent: string;
  /** `provider/model`, or `default`. */
  model: string;
  /** What sessions share their remembered rules by. */
  project: string;
  /** Your own labels. */
  metadata: Record<string, string>;
  /** Of a fork: where it came from. */
  forkedFrom?: { sessionId: string; itemId?: string | undefined } | undefined;
  createdAt: Date;
  updatedAt: Date;
}

/** Tokens. `cachedTokens` are part of `inputTokens`, `reasoningTokens` of `outputTokens`. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
  cachedTokens: number;
  reasoningTokens: number;
}

/** `read` is allowed by default; the others ask. */
export type ToolKind = 'read' | 'write' | 'delete' | 'execute';

export type ToolOutcome = 'succeeded' | 'failed' | 'rejected' | 'denied' | 'timed_out' | 'cancelled';

/** Where a tool runs: in the IDE, in the service, in an MCP server. */
export type ToolTarget = 'client' | 'server' | 'mcp';

/** What an item of kind `tool_call` says besides its text, which is the arguments as the model wrote them. */
export interface ToolCallInfo {
  callId: string;
  name: string;
  /** As they are used: parsed, and edited where a person did. */
  arguments?: Record<string, unknown> | undefined;
  target?: ToolTarget | undefined;
  outcome?: ToolOutcome | undefined;
  /** What the model was given. */
  result?: string | undefined;
  /** Names the whole result, where `result` is only a part of it. */
  resultId?: string | undefined;
  /** What was decided where somebody was asked, and who did: in their own words. `decidedAt`: milliseconds since 1970. */
  decision?: { decision: ApprovalOutcome; by: string; decidedAt: number } | undefined;
}

/** `cancelled`, `timed_out`: nobody decided. */
export type ApprovalOutcome = 'allow' | 'edit' | 'reject' | 'cancelled' | 'timed_out';

/** One file of a patch, in hunks that a person may leave out. */
export interface FileChange {
  path: string;
  change: 'create' | 'modify' | 'delete';
  /** `hunk` counts the hunks of the whole patch, from 0. `lines` begin with a space, `+` or `-`. */
  hunks: Array<{ hunk: number; header: string; lines: string[] }>;
}

export interface PlanEntry {
  text: string;
  status: 'pending' | 'in_progress' | 'completed';
}

export interface AttachmentInfo {
  name: string;
  mimeType: string;
  bytes: number;
}

/** One entry of what a person sees of a session. */
export interface Item {
  itemId: string;
  /** Empty for what happened between runs. */
  runId: string;
  /** Which of the run's steps it belongs to, from 1; 0: none. */
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
  text: string;
  /** `incomplete`: the run was cancelled or failed before the item was whole. */
  status: 'in_progress' | 'completed' | 'incomplete';
  createdAt: Date;
  attachments?: AttachmentInfo[] | undefined;
  toolCall?: ToolCallInfo | undefined;
  fileChange?: { callId: string; changes: FileChange[] } | undefined;
  plan?: PlanEntry[] | undefined;
  /** How large the model's view of the conversation was before and is after, in tokens; an estimate. */
  compaction?: { tokensBefore: number; tokensAfter: number } | undefined;
  agentSwitch?: { from: string; to: string; reason: string; by: 'user' | 'model' } | undefined;
}

/** A message as the service keeps it. */
export interface Input {
  inputId: string;
  sessionId: string;
  content: string;
  attachments?: AttachmentInfo[] | undefined;
  model?: string | undefined;
  status: 'queued' | 'delivered' | 'cancelled';
  runId?: string | undefined;
  createdAt: Date;
}

/** A file that comes with a message: PNG, JPEG, GIF, WebP and PDF as `data` in base64, everything else as `text`. */
export interface Attachment {
  name: string;
  mimeType: string;
  data?: string;
  text?: string;
}

/** A tool call that waits for a person. */
export interface Approval {
  callId: string;
  runId: string;
  name: string;
  arguments: Record<string, unknown>;
  kind: ToolKind;
  target: ToolTarget;
  /** Why somebody is asked, for a person. */
  reason: string;
  /** What may be chosen, and the glob that a remembered yes would stand for. Only `once`: this is asked for each time. */
  options: Array<{ scope: 'once' | 'session' | 'project'; resource?: string | undefined }>;
  /** Of a patch: what it would change. */
  changes?: FileChange[] | undefined;
  createdAt: Date;
  /** When it counts as rejected. */
  deadline: Date;
}

/**
 * What may be done without asking (`allow`), and what not at all (`deny`). Of commands a rule is a convenience, not a boundary: the same thing can be said in a
 * hundred ways.
 */
export interface Rule {
  ruleId: string;
  scope: 'session' | 'project';
  /** A tool's name; `*` stands for any run of characters. */
  tool: string;
  /** A glob over paths or commands. */
  resource: string;
  effect: 'allow' | 'deny' | 'ask';
  createdAt: Date;
}

export interface AgentInfo {
  name: string;
  description: string;
  /** The model that it asks for, where it does. */
  model?: string;
  /** The names of its tools; without: all. */
  tools?: string[];
}

/** What was used. `costUsd`: of the steps whose model has a price. */
export interface UsageReport {
  usage: Usage;
  costUsd: number;
  steps: number;
  byModel: Array<{ model: string; usage: Usage; costUsd: number; steps: number }>;
}

/** How a run ended. `limit`: the model had no room for more, or the run too many steps. */
export type RunEnd = 'completed' | 'cancelled' | 'failed' | 'limit';

/** An error inside an event; its `code` is one of `ErrorCode`. */
export interface EventError {
  code: string;
  message: string;
  retryable: boolean;
  requestId: string;
  /** Milliseconds. */
  retryAfterMs?: number | undefined;
  details?: unknown;
}

interface State {
  /** `waiting`: for a person's decision. */
  state: 'idle' | 'running' | 'waiting';
  runId?: string | undefined;
  /** How many messages wait behind the active run. */
  queued: number;
}

interface EventBodies {
  'session.updated': { session: SessionInfo };
  'session.state': State;
  'input.accepted': { input: Input };
  'input.delivered': { inputId: string; runId: string };
  'input.cancelled': { inputId: string };
  'run.started': { runId: string; inputId: string; agent: string; model: string };
  'step.started': { runId: string; model: string };
  'item.started': { item: Item };
  /** `offset`: how many UTF-16 code units of the item came before. */
  'item.delta': { itemId: string; text: string; offset: number };
  /** Authoritative: the whole item. */
  'item.completed': { item: Item };
  /** An item that was shown is given up: the agent says it again. It is not in the history. */
  'item.discarded': { itemId: string; reason: 'retried' | 'restarted' };
  'step.finished': { runId: string; model: string; usage: Usage; costUsd?: number | undefined; finishReason: string };
  /** `clientId`: who is to run it, of a tool of the IDE's. `deadline`: milliseconds since 1970. */
  'tool.requested': {
    runId: string;
    callId: string;
    name: string;
    arguments: Record<string, unknown>;
    target: ToolTarget;
    clientId?: string | undefined;
    deadline: number;
    /** The paths that the rules were asked about, and globs of those that they deny to this tool. */
    paths?: string[] | undefined;
    denied?: string[] | undefined;
    /** The session's project, where that is a path: what relative paths are in, for globs from the top. */
    root?: string | undefined;
  };
  /** `fraction`: 0 to 1. */
  'tool.progress': { callId: string; message: string; fraction?: number | undefined };
  'tool.finished': { callId: string; outcome: ToolOutcome };
  'approval.requested': { approval: Approval };
  /** `cancelled`, `timed_out`: nobody decided. `by`: who did. */
  'approval.resolved': {
    callId: string;
    decision: ApprovalOutcome;
    by: string;
  };
  'agent.switched': { from: string; to: string; reason: string };
  'run.finished': {
    runId: string;
    status: RunEnd;
    usage: Usage;
    costUsd?: number | undefined;
    error?: EventError | undefined;
  };
  /** What follows is live. */
  'stream.synced': State;
  /** Replace what you show by this. */
  'stream.reset': { reason: 'cursor_expired' | 'restarted'; items: Item[]; nextCursor?: string | undefined };
}

/**
 * Something that happened in a session, told apart by `type`. Ignore types you don't know. `seq` strictly increases within a
 * session, with gaps; `ts` is milliseconds since 1970.
 */
export type SessionEvent = {
  [T in keyof EventBodies]: { type: T; seq: number; ts: number } & EventBodies[T];
}[keyof EventBodies];

/** An event with its cursor: pass the `id` as `lastEventId` to go on after it. */
export type TrackedSessionEvent = SessionEvent & { id: string };

export interface ModelInfo {
  /** What to pass as `model`. */
  id: string;
  provider: string;
  /** What the provider calls it. */
  name: string;
}
