/** One conversation. */
export interface SessionInfo {
  sessionId: string;
  /** Empty until somebody names it. */
  title: string;
  /** `provider/model`, or `default`. */
  model: string;
  /** Your own labels. */
  metadata: Record<string, string>;
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

/** One entry of what a person sees of a session. */
export interface Item {
  itemId: string;
  runId: string;
  /** Of a `user_message`: the input that it came with. */
  inputId?: string | undefined;
  kind: 'user_message' | 'assistant_message' | 'reasoning';
  text: string;
  /** `incomplete`: the run was cancelled or failed before the item was whole. */
  status: 'in_progress' | 'completed' | 'incomplete';
  createdAt: Date;
}

/** A message as the service keeps it. */
export interface Input {
  inputId: string;
  sessionId: string;
  content: string;
  model?: string | undefined;
  status: 'queued' | 'delivered' | 'cancelled';
  runId?: string | undefined;
  createdAt: Date;
}

/** How a run ended. `limit`: the model had no room for more. */
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
  state: 'idle' | 'running';
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
  'run.started': { runId: string; inputId: string; model: string };
  'step.started': { runId: string; model: string };
  'item.started': { item: Item };
  /** `offset`: how many UTF-16 code units of the item came before. */
  'item.delta': { itemId: string; text: string; offset: number };
  /** Authoritative: the whole item. */
  'item.completed': { item: Item };
  'step.finished': { runId: string; model: string; usage: Usage; finishReason: string };
  'run.finished': { runId: string; status: RunEnd; usage: Usage; error?: EventError | undefined };
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
