import type {
  Approval,
  ApprovalDecide,
  Attachment,
  InputSend,
  InputSent,
  NewSessionEvent,
  RememberedRule,
  RuleAdd,
  Session,
  SessionUpdate,
  ToolAnnounce,
  ToolProgress,
  ToolResult,
} from '@codelab/protocol';
import type { Lifecycle, Logger } from '@codelab/service-kit';
import type { Agents } from './agents.ts';
import type { View } from './context.ts';
import type { EventLog, LogBudget } from './event-log.ts';
import type { Llm } from './llm.ts';
import type { Probation } from './probation.ts';
import type { Store, StoredInput, StoredItem, StoredSession } from './store/store.ts';
import type { Write } from './store/writer.ts';
import type { Toolbox } from './tools/toolbox.ts';

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
  /** In tokens. */
  contextWindow: number;
}

export interface SessionDeps {
  store: Store;
  llm: Llm;
  agents: Agents;
  toolbox: Toolbox;
  budget: LogBudget;
  probation: Probation;
  log: Logger;
  lifecycle: Lifecycle;
  settings: SessionSettings;
}

/** One session at work: its queue, its active run, who waits for what. All that matters is in the store before it is shown. */
export interface LiveSession {
  readonly session: Session;
  readonly log: EventLog;
  readonly isIdle: boolean;
  update(changes: Omit<SessionUpdate, 'sessionId'>): Promise<Session>;
  announce(input: ToolAnnounce): Promise<{ tools: number }>;
  tools(): ReturnType<Toolbox['list']>;
  switchAgent(name: string, reason: string): Promise<{ from: string; to: string }>;
  send(input: InputSend, requestId: string): Promise<InputSent>;
  /** The cursor from before an input, once it is accepted; undefined when `signal` aborts before. */
  cursorOf(inputId: string, signal: AbortSignal): Promise<string | undefined>;
  cancelInput(inputId: string): Promise<{ status: 'cancelled' }>;
  cancelRun(runId: string | undefined): Promise<{ status: 'cancelling' | 'already_finished' }>;
  toolResult(input: ToolResult): Promise<{ status: 'accepted'; replayed: boolean }>;
  toolProgress(input: ToolProgress): { status: 'accepted' };
  decide(input: ApprovalDecide): Promise<{ status: 'resolved'; replayed: boolean }>;
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

/** What the run needs of its session, besides `SessionDeps`. */
export interface RunSession {
  readonly sessionId: string;
  session: Session;
  stored: StoredSession;
  emit(event: NewSessionEvent): string;
  nextPosition(): number;
  /** What the model sees, up to the newest stored item. */
  view(): Promise<View>;
  replaceView(view: View): void;
  /** What the provider counts for what we count as one token, as far as it is known. */
  tokensPerEstimate: number;
  attachments(inputId: string): Attachment[] | undefined;
  keepAttachments(inputId: string, attachments: Attachment[] | undefined): void;
  opened(stored: StoredItem): void;
  closed(stored: StoredItem): void;
  /** Emits `session.state` where it has changed. */
  stateChanged(): void;
  /** The inputs that are to be delivered to the active run, taken out of the queue. */
  takeSteers(deliver: (inputs: StoredInput[]) => Promise<void>): Promise<boolean>;
  hasSteers(): boolean;
  switchWrites(
    to: string,
    reason: string,
    by: 'user' | 'model',
    runId: string,
  ): { writes: Write[]; undo(): void; show(): void };
  /** A run is over here, and in the store once `stored` resolves. */
  runEnds(runId: string, stored: Promise<void>): void;
  /** There is no active run any more: at the same moment as its end is in the log, so that whoever comes now is not told to wait for it. */
  runOver(): void;
  startNext(): Promise<void>;
  /** The run stays in the store as it is, for the next process: nothing more happens here. */
  runSuspended(): void;
}
