import type {
  Approval,
  ApprovalDecide,
  ApprovalPreview,
  InputSend,
  InputSent,
  RememberedRule,
  RuleAdd,
  Session,
  SessionUpdate,
  ToolAnnounce,
  ToolProgress,
  ToolResult,
} from '@codelab/protocol';
import type { Lifecycle, Logger } from '@codelab/service-kit';
import type { Agents } from '../agents/agents.ts';
import type { LogBudget } from '../events/log-budget.ts';
import type { SessionEvents } from '../events/session-events.ts';
import type { LlmClient } from '../model/llm-client.ts';
import type { Store, StoredItem } from '../store/store.ts';
import type { ToolRegistry } from '../tools/tool-registry.ts';
import type { Probation } from './probation.ts';
import type { SessionMetrics } from './session-metrics.ts';

export interface SessionSettings {
  model: string;
  maxSteps: number;
  /** How often in a row a step that gets nowhere is asked for again. */
  stepRetries: number;
  /** How long a run waits for a database that is gone. */
  storeTimeoutMs: number;
  /** How many sessions that nothing happens in are kept in memory. */
  liveSessions: number;
  toolTimeoutMs: number;
  approvalTimeoutMs: number;
  /** How long a call waits for a client that has its tool. */
  clientTimeoutMs: number;
  /** How long a client that is cut off counts as there. */
  graceMs: number;
  /** In tokens. */
  contextWindow: number;
  /** Of one session: over this its oldest events are evicted. */
  eventsMaxBytes: number;
  /** Events that are older are evicted. Milliseconds. */
  eventsMaxAgeMs: number;
}

export interface SessionDeps {
  store: Store;
  llm: LlmClient;
  agents: Agents;
  registry: ToolRegistry;
  budget: LogBudget;
  probation: Probation;
  metrics: SessionMetrics;
  log: Logger;
  lifecycle: Lifecycle;
  settings: SessionSettings;
}

/** One session at work: its queue, its active run, who waits for what. All that matters is in the store before it is shown. */
export interface LiveSession {
  readonly session: Session;
  readonly log: SessionEvents;
  readonly isIdle: boolean;
  update(changes: Omit<SessionUpdate, 'sessionId'>): Promise<Session>;
  /** Counts a client as there, until the function that is returned is called. */
  came(clientId: string): () => void;
  announce(input: ToolAnnounce): Promise<{ tools: number }>;
  tools(): ReturnType<ToolRegistry['list']>;
  switchAgent(name: string, reason: string): Promise<{ from: string; to: string }>;
  send(input: InputSend, requestId: string): Promise<InputSent>;
  /** The cursor from before an input, once it is accepted; undefined when `signal` aborts before. */
  cursorOf(inputId: string, signal: AbortSignal): Promise<string | undefined>;
  cancelInput(inputId: string): Promise<{ status: 'cancelled' }>;
  /** Cancels a run, without `runId` the active one: the same one for the same request, however often that is sent. */
  cancelRun(runId: string | undefined, requestId: string): Promise<{ status: 'cancelling' | 'already_finished' }>;
  toolResult(input: ToolResult): Promise<{ status: 'accepted'; replayed: boolean }>;
  toolProgress(input: ToolProgress): { status: 'accepted' };
  decide(input: ApprovalDecide): Promise<{ status: 'resolved'; replayed: boolean }>;
  /** Adds to an approval what the call would change. */
  preview(input: ApprovalPreview): Promise<{ status: 'accepted'; replayed: boolean }>;
  approvals(): Promise<Approval[]>;
  rules(): Promise<RememberedRule[]>;
  addRule(rule: Omit<RuleAdd, 'sessionId'>): Promise<RememberedRule>;
  deleteRule(ruleId: string): Promise<{ deleted: boolean }>;
  items(options: { before?: number; limit: number }): Promise<{ items: StoredItem[]; more: boolean }>;
  /** Takes up what an earlier process left: the unfinished run, the inputs that wait. */
  resume(): Promise<void>;
  /** Ends the run and the queue as cancelled. */
  end(): Promise<void>;
  /** Leaves the run as it is stored, for the next process. */
  suspend(): Promise<void>;
}
