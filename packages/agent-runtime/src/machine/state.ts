import type { Approval, NewSessionEvent, Run, SessionState as ShownState } from '@codelab/protocol';
import type { StoredInput, StoredItem, StoredSession } from '../store/store.ts';
import type { CallEnd } from '../tools/tool-call.ts';
import type { Tool } from '../tools/tool-registry.ts';

/** A session between two commits. Nothing in it is changed: a decision makes the next one. */
export interface SessionState {
  readonly stored: StoredSession;
  /** The place of the newest item in the history. */
  readonly position: number;
  /** The place of the input that came last in the queue. */
  readonly lastInput: number;
  /** In the order in which they become runs. */
  readonly queue: readonly StoredInput[];
  readonly run: RunState | undefined;
}

/** A run that is not over. It is generating while it has no open calls. */
export interface RunState {
  readonly run: Run;
  /** The input that it began with. */
  readonly input: StoredInput;
  /** How often a process has ended under it without its getting on. */
  readonly attempts: number;
  /** Somebody was told that it would be cancelled. */
  readonly isCancelled: boolean;
  /** It was loaded, and waits for its turn to go on. */
  readonly isHeld: boolean;
  /** The open calls of the last step, as the model wrote them. */
  readonly calls: readonly CallState[];
  /** The last step's calls, and how often in a row they were made. */
  readonly repetition: { readonly calls: string; readonly times: number };
}

interface Call {
  readonly callId: string;
  readonly name: string;
  readonly stored: StoredItem;
  readonly args: Record<string, unknown>;
}

export type ToolRequested = Extract<NewSessionEvent, { type: 'tool.requested' }>;

/** A call without a result. */
export type CallState =
  | (Call & { readonly is: 'awaiting_approval'; readonly tool: Tool; readonly approval: Approval })
  | (Call & {
      readonly is: 'ready';
      readonly tool: Tool;
      /** Until when it waits for a client that has its tool: none is there. Milliseconds since 1970. */
      readonly unattendedUntil?: number;
    })
  | (Call & { readonly is: 'executing'; readonly tool: Tool; readonly request: ToolRequested })
  /** Known before anything ran: a mistake of the model's, or a rule that denies. */
  | (Call & {
      readonly is: 'settled';
      readonly tool: Tool | undefined;
      readonly end: CallEnd;
      /** An approval that is still pending in the store; it is cancelled with the call's end. */
      readonly approval?: Approval;
    });

/** True while nothing goes on before a person decides, or a client comes. */
export function isWaiting(run: RunState): boolean {
  return (
    run.calls.some((call) => call.is === 'awaiting_approval' || isUnattended(call)) &&
    !run.calls.some(({ is }) => is === 'executing')
  );
}

export function isUnattended(call: CallState): boolean {
  return call.is === 'ready' && call.unattendedUntil !== undefined;
}

/** Returns what watchers are told of a session's state. */
export function toShownState({ run, queue }: SessionState): ShownState {
  return run === undefined
    ? { state: 'idle', queued: queue.length }
    : { state: isWaiting(run) ? 'waiting' : 'running', runId: run.run.runId, queued: queue.length };
}

/** Returns what waits for an answer, as it was announced. */
export function openRequests({ run }: SessionState): NewSessionEvent[] {
  return (run?.calls ?? []).flatMap((call): NewSessionEvent[] => {
    if (call.is === 'awaiting_approval') return [{ type: 'approval.requested', approval: call.approval }];
    return call.is === 'executing' ? [call.request] : [];
  });
}
