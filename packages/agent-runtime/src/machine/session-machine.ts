import {
  type ApprovalOutcome,
  CodelabError,
  type FileChange,
  type InputSent,
  type Item,
  type Input as Message,
  type RememberedRule,
  type Session,
  type Usage,
} from '@codelab/protocol';
import type { ModelStep } from '../model/accumulate-step.ts';
import { evaluate } from '../policy/policy.ts';
import type { AnnouncedTool, ModelOnly, StoredInput } from '../store/store.ts';
import type { ServerToolResult } from '../tools/server-tool.ts';
import { type CallEnd, type PreparedCall, shorten, toToolAction } from '../tools/tool-call.ts';
import {
  decideByResult,
  finishCall,
  moveCalls,
  type ResultDecision,
  resolveApproval,
  unattendedEnd,
  updateApproval,
} from './call-machine.ts';
import { createDraft, type Decision, type Draft, type Env } from './draft.ts';
import { advance, beginNext, endRun, withUsage } from './run-machine.ts';
import { type CallState, isUnattended, type RunState, type SessionState } from './state.ts';
import { endStep } from './step-end.ts';
import { switchAgent } from './switch-agent.ts';
import { titleOf } from './title.ts';

/** Restarts of the process that a run may survive without progress; then it fails. */
const MAX_ATTEMPTS = 5;

/** Everything that can happen to a session. */
export interface Inputs {
  /** A message that is not known yet. */
  send: { input: StoredInput };
  cancelInput: { inputId: string };
  cancelQueue: object;
  stop: { runId: string };
  update: { changes: Partial<Pick<Session, 'title' | 'model' | 'effort' | 'metadata'>> };
  /** `tools`: those of all clients. */
  announce: { tools: AnnouncedTool[] };
  /** A client came, or is gone. */
  presence: object;
  /** No client came for a call. */
  giveUp: { callId: string };
  switchAgent: { to: string; reason: string };
  /** `args` and `decision` as they are used: a patch without its hunks, edited arguments that were checked. */
  decide: {
    callId: string;
    decision: ApprovalOutcome;
    by: string;
    decisionJson: string;
    args?: Record<string, unknown> | undefined;
    feedback?: string | undefined;
    rule?: RememberedRule | undefined;
  };
  /** A client says what a call that waits for a decision would change. */
  preview: { callId: string; clientId: string; changes: FileChange[] };
  addRule: { rule: RememberedRule };
  expire: { callId: string };
  /** `isClient`: it comes from outside, and must be of a call that runs there. `decision`: stands where the call waits for one. */
  finishCall: {
    callId: string;
    end: CallEnd;
    effects?: Omit<ServerToolResult, 'result'> | undefined;
    isClient?: boolean;
    decision?: ResultDecision | undefined;
  };
  endStep: { runId: string; step: number; answer: ModelStep; prepared: PreparedCall[]; isAborted: boolean };
  /** An answer broke off and is asked for again: `discarded` was shown of it. */
  retryStep: { runId: string; discarded: string[]; notice: string };
  compact: {
    runId: string;
    text: string;
    compaction: NonNullable<Item['compaction']>;
    view: NonNullable<ModelOnly['view']>;
  };
  spend: { runId: string; step: number; model: string; usage: Usage; costUsd: number | undefined };
  /** A run that was loaded goes on, or ends where it was cancelled. `countsAttempt`: it may be what brings the process down. */
  resume: { runId: string; countsAttempt: boolean };
  progress: { runId: string };
  /** The run cannot go on. */
  fail: { runId: string; error: unknown };
  /** The queue goes on where nothing is at work. */
  next: object;
}

export type InputName = keyof Inputs;
export type Input = { [K in InputName]: { type: K } & Inputs[K] }[InputName];

interface Answers {
  send: Omit<InputSent, 'eventId'>;
  cancelInput: { status: 'cancelled' };
  update: Session;
  switchAgent: { from: string; to: string };
  preview: { status: 'accepted'; replayed: boolean };
  addRule: RememberedRule;
}
export type Answer<K extends InputName> = K extends keyof Answers ? Answers[K] : undefined;

/** Computes what an input comes to. Pure: nothing has happened until the decision is committed. Throws `CodelabError` to refuse it. */
export function decide<K extends InputName>(
  state: SessionState,
  input: { type: K } & Inputs[K],
  env: Env,
): Decision<Answer<K>> {
  const draft = createDraft(state, env);
  const handle = handlers[input.type] as (draft: Draft, input: Inputs[K]) => Answer<K>;
  return draft.decided(handle(draft, input));
}

/** True where deciding on the input may begin a call, which the rules are asked about; they are `Env.rules` then. */
export function asksRules({ run }: SessionState, input: Input): boolean {
  if (run === undefined || input.type === 'stop' || input.type === 'fail' || input.type === 'preview') return false;
  return run.calls.length > 0 || (input.type === 'endStep' && input.prepared.length > 0);
}

type Handlers = { [K in InputName]: (draft: Draft, input: Inputs[K]) => Answer<K> };

const handlers: Handlers = {
  send(draft, { input }) {
    const { inputId } = input.input;
    const { run } = draft.state;
    draft.emit({ type: 'input.accepted', input: input.input as Message });
    draft.put('input', input);
    use(draft, input.input.content);
    const { queue } = draft.state;
    draft.state = {
      ...draft.state,
      lastInput: Math.abs(input.position),
      queue: input.whenBusy === 'interrupt' ? [input, ...queue] : [...queue, input],
    };
    if (run === undefined) beginNext(draft);
    else if (input.whenBusy === 'interrupt') stopRun(draft);
    draft.stateChanged();
    const delivered = draft.state.run?.run.inputId === inputId ? draft.state.run.run.runId : undefined;
    return delivered === undefined || run !== undefined
      ? { inputId, status: 'queued', replayed: false }
      : { inputId, status: 'delivered', replayed: false, runId: delivered };
  },

  cancelInput(draft, { inputId }) {
    cancelQueued(
      draft,
      draft.state.queue.filter(({ input }) => input.inputId === inputId),
    );
    return { status: 'cancelled' };
  },

  cancelQueue(draft) {
    cancelQueued(draft, draft.state.queue);
    return undefined;
  },

  stop(draft, { runId }) {
    if (draft.state.run?.run.runId === runId) stopRun(draft);
    return undefined;
  },

  update(draft, { changes }) {
    const { stored } = draft.state;
    const session: Session = { ...stored.session, ...changes, updatedAt: new Date(draft.env.now) };
    draft.state = { ...draft.state, stored: { ...stored, session } };
    draft.put('sessionData', session);
    draft.emit({ type: 'session.updated', session });
    return session;
  },

  announce(draft, { tools }) {
    const { stored } = draft.state;
    if (JSON.stringify(tools) !== JSON.stringify(stored.tools)) {
      draft.state = { ...draft.state, stored: { ...stored, tools } };
      draft.put('sessionTools', stored.session.sessionId, tools);
    }
    placeCalls(draft);
    return undefined;
  },

  presence(draft) {
    placeCalls(draft);
    return undefined;
  },

  giveUp(draft, { callId }) {
    const call = callOf(draft, callId);
    if (call === undefined || !isUnattended(call)) return undefined;
    finishCall(draft, call, unattendedEnd(call));
    advance(draft);
    return undefined;
  },

  switchAgent(draft, { to, reason }) {
    const from = draft.state.stored.session.agent;
    if (to !== from) switchAgent(draft, to, reason, 'user');
    return { from, to };
  },

  decide(draft, { callId, rule, ...how }) {
    resolveApproval(draft, awaiting(draft, callId), how);
    if (rule !== undefined) remember(draft, rule);
    advance(draft);
    return undefined;
  },

  preview(draft, { callId, clientId, changes }) {
    return { status: 'accepted', replayed: !updateApproval(draft, awaiting(draft, callId), clientId, changes) };
  },

  addRule(draft, { rule }) {
    remember(draft, rule);
    advance(draft);
    return rule;
  },

  expire(draft, { callId }) {
    const call = callOf(draft, callId);
    if (call?.is !== 'awaiting_approval') return undefined;
    resolveApproval(draft, call, {
      decision: 'timed_out',
      by: 'service',
      decisionJson: JSON.stringify({ decision: 'timed_out' }),
    });
    advance(draft);
    return undefined;
  },

  finishCall(draft, { callId, end, effects, isClient, decision }) {
    const call = callOf(draft, callId);
    if (isClient !== true && call?.is !== 'executing') return undefined;
    if (call === undefined) throw new CodelabError('TOOL_CALL_FINISHED', `The tool call "${callId}" ended before.`);
    if (isClient === true && call.tool?.target !== 'client')
      throw new CodelabError('VALIDATION', `"${call.name}" does not run in the IDE: its result comes from elsewhere.`);
    if (call.is !== 'awaiting_approval') finishCall(draft, call, end, effects);
    else if (decision !== undefined) decideByResult(draft, call, end, decision);
    else
      throw new CodelabError(
        'VALIDATION',
        `The call of "${call.name}" waits for a decision, and must not be made before.`,
      );
    advance(draft);
    return undefined;
  },

  endStep(draft, { runId, step, answer, prepared, isAborted }) {
    const run = runOf(draft, runId);
    if (run === undefined || run.calls.length > 0 || run.run.steps + 1 !== step) return undefined;
    endStep(draft, answer, prepared, isAborted);
    return undefined;
  },

  retryStep(draft, { runId, discarded, notice }) {
    if (runOf(draft, runId) === undefined || discarded.length === 0) return undefined;
    for (const itemId of discarded) draft.emit({ type: 'item.discarded', itemId, reason: 'retried' });
    draft.addItem('notice', { text: notice });
    return undefined;
  },

  compact(draft, { runId, text, compaction, view }) {
    if (runOf(draft, runId) !== undefined) draft.addItem('compaction', { text, compaction }, { view });
    return undefined;
  },

  spend(draft, { runId, step, model, usage, costUsd }) {
    const run = runOf(draft, runId);
    if (run === undefined) return undefined;
    draft.setRun({ run: withUsage(run.run, usage, costUsd) });
    draft.put('step', { runId, step, sessionId: run.run.sessionId, model, usage, costUsd });
    draft.putRun();
    return undefined;
  },

  resume(draft, { runId, countsAttempt }) {
    const run = runOf(draft, runId);
    if (run === undefined || !(run.isHeld || run.isCancelled)) return undefined;
    const attempts = run.attempts + (countsAttempt ? 1 : 0);
    draft.setRun({ isHeld: false, attempts });
    draft.putRun();
    if (attempts > MAX_ATTEMPTS) {
      const error = new CodelabError('INTERNAL', 'The service was stopped in the middle of this run again and again.');
      endRun(draft, { status: 'failed', error });
    } else if (run.calls.length > 0 || run.isCancelled) advance(draft);
    else draft.stateChanged();
    if (draft.state.run?.isCancelled === true && draft.state.run.calls.length === 0)
      endRun(draft, { status: 'cancelled' });
    return undefined;
  },

  progress(draft, { runId }) {
    const run = runOf(draft, runId);
    if (run === undefined || run.attempts === 0) return undefined;
    draft.setRun({ attempts: 0 });
    draft.putRun();
    return undefined;
  },

  fail(draft, { runId, error }) {
    if (runOf(draft, runId) === undefined) return undefined;
    endRun(draft, { status: 'failed', error: error instanceof CodelabError ? error : new CodelabError('INTERNAL') });
    return undefined;
  },

  next(draft) {
    beginNext(draft);
    return undefined;
  },
};

/** Notes that the session is used: it is the first of the list. One without a title is named by the message. */
function use(draft: Draft, content: string): void {
  const { stored } = draft.state;
  const title = stored.session.title === '' ? titleOf(content) : stored.session.title;
  const session: Session = { ...stored.session, title, updatedAt: new Date(draft.env.now) };
  draft.state = { ...draft.state, stored: { ...stored, session } };
  if (title === stored.session.title) draft.put('sessionUsed', session.sessionId, draft.env.now);
  else {
    draft.put('sessionData', session);
    draft.emit({ type: 'session.updated', session });
  }
}

function runOf(draft: Draft, runId: string): RunState | undefined {
  const { run } = draft.state;
  return run?.run.runId === runId ? run : undefined;
}

/** Finds clients for the calls that need one. */
function placeCalls(draft: Draft): void {
  const { run } = draft.state;
  if (run === undefined || run.isHeld || run.calls.length === 0) return;
  moveCalls(draft);
  advance(draft);
}

function callOf(draft: Draft, callId: string): CallState | undefined {
  return draft.state.run?.calls.find((call) => call.callId === callId);
}

function awaiting(draft: Draft, callId: string): Extract<CallState, { is: 'awaiting_approval' }> {
  const call = callOf(draft, callId);
  // Its time may have ended, or its run, while the decision was looked at.
  if (call?.is !== 'awaiting_approval') throw new CodelabError('APPROVAL_ALREADY_RESOLVED');
  return call;
}

/** Cancels the run. Where the model is speaking it ends once that has been stopped and can be stored; else it ends here. */
function stopRun(draft: Draft): void {
  const run = draft.state.run as RunState;
  if (run.isCancelled) return;
  draft.setRun({ isCancelled: true });
  if (run.calls.length > 0) endRun(draft, { status: 'cancelled' });
  else draft.putRun();
}

function cancelQueued(draft: Draft, inputs: readonly StoredInput[]): void {
  for (const stored of inputs) {
    draft.put('input', { ...stored, input: { ...stored.input, status: 'cancelled' } });
    draft.emit({ type: 'input.cancelled', inputId: stored.input.inputId });
  }
  draft.state = { ...draft.state, queue: draft.state.queue.filter((stored) => !inputs.includes(stored)) };
  draft.stateChanged();
}

/** Stores a rule. Calls that it allows need nobody any more. */
function remember(draft: Draft, added: RememberedRule): void {
  const { sessionId, project } = draft.state.stored.session;
  draft.put('rule', added, sessionId, project);
  const rules = [...draft.env.rules, added];
  for (const call of draft.state.run?.calls ?? []) {
    if (call.is !== 'awaiting_approval') continue;
    const act = toToolAction(call.tool, call.args, project);
    if (typeof act === 'string' || evaluate(act, rules).effect !== 'allow') continue;
    resolveApproval(draft, call, {
      decision: 'allow',
      by: 'rule',
      decisionJson: JSON.stringify({ decision: 'allow' }),
    });
  }
}

/** True where a result is the one that the call has already had. */
export function isSameResult(item: Item, end: CallEnd): boolean {
  const { outcome, result } = item.toolCall ?? {};
  return outcome === end.outcome && result === shorten(end.text, item.itemId).shown;
}
