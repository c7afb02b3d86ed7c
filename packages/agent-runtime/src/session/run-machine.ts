import { addUsage, CodelabError, type Item, noUsage, type Run, type ToolOutcome, toWireError } from '@codelab/protocol';
import { judge } from '../rules.ts';
import type { ModelStep } from '../run/model-step.ts';
import type { StoredInput, StoredItem } from '../store/store.ts';
import {
  type CallEnd,
  changesMadeBy,
  denial,
  policyOf,
  rejection,
  resolutionOf,
  shorten,
  toAct,
  withResolution,
} from '../tool-calls.ts';
import type { ServerToolResult } from '../tools/server-tool.ts';
import type { Tool } from '../tools/toolbox.ts';
import type { Draft, Env } from './draft.ts';
import type { CallState, RunState, ToolRequested } from './state.ts';

/** The same calls are refused from so many times in a row on. */
const REFUSED_AT = 4;
/** The run ends when the same calls were made so many times in a row. */
const STOPPED_AT = 7;
/** The run ends when so many answers in a row were cut off in the middle of calls. */
const CUT_OFF_AT = 3;

export interface RunEnd {
  status: Exclude<Run['status'], 'running'>;
  error?: CodelabError | undefined;
  /** For the person: why it went no further. */
  notice?: string | undefined;
}

/** A call of a step as it was checked. */
export interface PreparedCall {
  callId: string;
  tool: Tool | undefined;
  args: Record<string, unknown>;
  /** Why it is not made. */
  end: CallEnd | undefined;
  approval: Extract<CallState, { is: 'awaiting_approval' }>['approval'] | undefined;
}

/** Returns the model that answers next. `agent`: who is asked; default: the session's. */
export function modelOf(
  { input }: Pick<RunState, 'input'>,
  { state, env }: Pick<Draft, 'state' | 'env'>,
  agent = state.stored.session.agent,
): string {
  const own = input.input.model ?? state.stored.session.model;
  return own === 'default' ? (env.agents.find(agent).model ?? env.settings.model) : own;
}

/** Begins the next run of the queue, where there is none at work. */
export function beginNext(draft: Draft): void {
  const { queue, run } = draft.state;
  const [next, ...rest] = queue;
  if (next === undefined || run !== undefined || draft.env.isDraining) draft.stateChanged();
  else {
    draft.state = { ...draft.state, queue: rest };
    beginRun(draft, next);
  }
}

function beginRun(draft: Draft, input: StoredInput): void {
  const { session } = draft.state.stored;
  const agent = draft.env.agents.find(input.agent ?? session.agent).name;
  const begun: RunState = {
    run: {
      runId: draft.env.newId('run'),
      sessionId: session.sessionId,
      inputId: input.input.inputId,
      agent,
      model: modelOf({ input }, draft, agent),
      status: 'running',
      steps: 0,
      usage: noUsage,
      startedAt: new Date(draft.env.now),
    },
    input,
    attempts: 0,
    isCancelled: false,
    isHeld: false,
    calls: [],
    repetition: { calls: '', times: 0 },
  };
  draft.state = { ...draft.state, run: begun };
  draft.stateChanged();
  const { runId, model } = begun.run;
  draft.emit({ type: 'input.delivered', inputId: begun.run.inputId, runId });
  draft.emit({ type: 'run.started', runId, inputId: begun.run.inputId, agent, model });
  deliver(draft, input);
  putRun(draft);
  generate(draft);
}

/** Makes an input part of the run. */
function deliver(draft: Draft, stored: StoredInput): void {
  const { session } = draft.state.stored;
  const runId = draft.state.run?.run.runId ?? '';
  const { inputId, content, attachments } = stored.input;
  if (stored.agent !== undefined && stored.agent !== session.agent)
    switchAgent(draft, draft.env.agents.find(stored.agent).name, 'The person chose it.', 'user');
  draft.addItem('user_message', {
    text: content,
    inputId,
    ...(attachments === undefined ? {} : { attachments }),
  });
  draft.put('input', { ...stored, input: { ...stored.input, status: 'delivered', runId } });
}

export function switchAgent(draft: Draft, to: string, reason: string, by: 'user' | 'model'): void {
  const { stored } = draft.state;
  const from = stored.session.agent;
  const session = { ...stored.session, agent: to, updatedAt: new Date(draft.env.now) };
  draft.state = { ...draft.state, stored: { ...stored, session } };
  draft.emit({ type: 'agent.switched', from, to, reason });
  draft.addItem('agent_switch', { agentSwitch: { from, to, reason, by } });
  draft.put('sessionData', session);
  draft.emit({ type: 'session.updated', session });
}

/** Takes in what was sent for this run meanwhile, then lets the model answer, or ends the run where it has had its steps. */
function generate(draft: Draft): void {
  const run = draft.state.run as RunState;
  const { runId, steps } = run.run;
  const steers = draft.state.queue.filter(({ whenBusy }) => whenBusy === 'steer');
  if (steers.length > 0) {
    draft.state = { ...draft.state, queue: draft.state.queue.filter(({ whenBusy }) => whenBusy !== 'steer') };
    for (const steer of steers) {
      draft.emit({ type: 'input.delivered', inputId: steer.input.inputId, runId });
      deliver(draft, steer);
    }
  }
  if (run.isCancelled) endRun(draft, { status: 'cancelled' });
  else if (steps >= draft.env.settings.maxSteps)
    endRun(draft, { status: 'limit', notice: `Stopped after ${steps} steps. Send a message to go on.` });
  else {
    draft.stateChanged();
    draft.emit({ type: 'step.started', runId, model: modelOf(run, draft) });
  }
}

/** Stores one answer of the model: its calls are made next, or the run is over. `isAborted`: it was stopped in the middle. */
export function endStep(draft: Draft, step: ModelStep, prepared: PreparedCall[], isAborted: boolean): void {
  const run = draft.state.run as RunState;
  const calls = step.items.filter(({ toolCall, status }) => toolCall !== undefined && status === 'in_progress');
  const isCutOff =
    step.finishReason === 'length' && calls.length === 0 && step.items.some(({ toolCall }) => toolCall !== undefined);
  const repetition = isCutOff ? again(run, 'cut off') : repeated(run, calls);
  const end = endOf(draft, step, calls, isAborted || run.isCancelled, repetition.times);
  addStep(draft, step);
  const stored = new Map(step.items.map((item) => [item.itemId, placed(draft, step, item)]));
  const { sessionId } = draft.state.stored.session;

  if (end !== undefined) {
    for (const each of stored.values()) {
      const isOpen = each.item.status === 'in_progress';
      const last = isOpen ? { ...each, item: cancelled(each.item) } : each;
      draft.put('item', sessionId, last);
      if (each.item.kind === 'tool_call')
        draft.emit({ type: 'item.started', item: { ...each.item, status: 'in_progress' } });
      if (isOpen) draft.emit({ type: 'tool.finished', callId: each.item.itemId, outcome: 'cancelled' });
      draft.emit({ type: 'item.completed', item: last.item });
    }
    draft.emit(stepFinished(draft, step));
    endRun(draft, end);
    return;
  }

  for (const { item } of stored.values()) {
    if (item.kind === 'tool_call') draft.emit({ type: 'item.started', item: { ...item, status: 'in_progress' } });
    if (item.status !== 'in_progress') draft.emit({ type: 'item.completed', item });
  }
  draft.emit(stepFinished(draft, step));
  const refusal =
    repetition.times >= REFUSED_AT
      ? `This very call was made ${repetition.times - 1} times in a row, and its result is above. Do something else, or tell the person what is in the way.`
      : undefined;
  const open = calls.map((item) => toCallState(stored.get(item.itemId) as StoredItem, prepared, refusal));
  for (const call of open) stored.set(call.callId, call.stored);
  for (const each of stored.values()) draft.put('item', sessionId, each);
  draft.setRun({ calls: open, repetition, attempts: 0 });
  for (const call of open) {
    if (call.is !== 'awaiting_approval') continue;
    draft.put('approval', { sessionId, approval: call.approval, pending: true });
    draft.emit({ type: 'approval.requested', approval: call.approval });
  }
  putRun(draft);
  advance(draft);
}

function endOf(draft: Draft, step: ModelStep, calls: Item[], isCancelled: boolean, times: number): RunEnd | undefined {
  const hasSteers = draft.state.queue.some(({ whenBusy }) => whenBusy === 'steer');
  const { finishReason, error } = step;
  // A stop wins over what it broke.
  if (isCancelled && (finishReason === undefined || calls.length > 0)) return { status: 'cancelled' };
  if (error !== undefined) return { status: 'failed', error: toCodelabError(error) };
  if (finishReason === undefined) return { status: 'cancelled' };
  if (calls.length === 0) {
    if (finishReason === 'content_filter') return { status: 'failed', error: new CodelabError('CONTENT_FILTERED') };
    if (times >= CUT_OFF_AT)
      return { status: 'limit', notice: `Stopped: the model's answer was cut off ${times} times in a row.` };
    // The model is told what was not made, and may do it in parts.
    if (times > 0) return undefined;
    if (!hasSteers || isCancelled) return { status: finishReason === 'length' ? 'limit' : 'completed' };
    return undefined;
  }
  return times >= STOPPED_AT
    ? { status: 'limit', notice: `Stopped: the model made the same call ${times} times in a row.` }
    : undefined;
}

function toCodelabError({ code, message, details, retryAfterMs }: NonNullable<ModelStep['error']>): CodelabError {
  return new CodelabError(code, message, {
    ...(details === undefined ? {} : { details }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** The item with the number of its step and its place in the history. */
function placed(draft: Draft, step: ModelStep, item: Item): StoredItem {
  const position = draft.state.position + 1;
  draft.state = { ...draft.state, position };
  const hidden = item === step.items[0] && step.thinking.length > 0 ? { thinking: step.thinking } : undefined;
  return { position, item, ...(hidden === undefined ? {} : { hidden }) };
}

function addStep(draft: Draft, { model, usage, costUsd }: ModelStep): void {
  const { run } = draft.state.run as RunState;
  const step = run.steps + 1;
  draft.setRun({ run: { ...withUsage(run, usage, costUsd), steps: step } });
  draft.put('step', {
    runId: run.runId,
    step,
    sessionId: run.sessionId,
    model,
    usage,
    costUsd,
  });
}

export function withUsage(run: Run, usage: Run['usage'], costUsd: number | undefined): Run {
  return {
    ...run,
    usage: addUsage(run.usage, usage),
    ...(costUsd === undefined ? {} : { costUsd: (run.costUsd ?? 0) + costUsd }),
  };
}

function stepFinished(draft: Draft, { model, usage, costUsd, finishReason, error }: ModelStep) {
  return {
    type: 'step.finished' as const,
    runId: draft.state.run?.run.runId ?? '',
    model,
    usage,
    ...(costUsd === undefined ? {} : { costUsd }),
    finishReason: finishReason ?? (error === undefined ? 'cancelled' : 'error'),
  };
}

function repeated({ repetition }: RunState, items: Item[]): RunState['repetition'] {
  if (items.length === 0) return { calls: '', times: 0 };
  return again({ repetition }, JSON.stringify(items.map(({ toolCall, text }) => [toolCall?.name, text])));
}

function again({ repetition }: Pick<RunState, 'repetition'>, calls: string): RunState['repetition'] {
  return { calls, times: calls === repetition.calls ? repetition.times + 1 : 1 };
}

function toCallState(stored: StoredItem, prepared: PreparedCall[], refusal: string | undefined): CallState {
  const known = prepared.find(({ callId }) => callId === stored.item.itemId);
  const { tool, args = {}, approval } = known ?? {};
  const info = stored.item.toolCall as NonNullable<Item['toolCall']>;
  const toolCall = { ...info, ...(tool === undefined ? {} : { arguments: args, target: tool.target }) };
  const call = {
    callId: stored.item.itemId,
    name: info.name,
    stored: { ...stored, item: { ...stored.item, toolCall } },
    args,
  };
  const end: CallEnd | undefined =
    refusal !== undefined ? { outcome: 'failed', text: refusal } : (known?.end ?? noTool(tool));
  if (end !== undefined) return { ...call, is: 'settled', tool, end };
  return approval === undefined
    ? { ...call, is: 'ready', tool: tool as Tool }
    : { ...call, is: 'awaiting_approval', tool: tool as Tool, approval };
}

function noTool(tool: Tool | undefined): CallEnd | undefined {
  return tool === undefined ? { outcome: 'failed', text: 'There is no such tool.' } : undefined;
}

/** Does what can be done without anybody: ends calls that are settled, begins those whose turn it is, lets the model go on. */
export function advance(draft: Draft): void {
  for (;;) {
    const { run } = draft.state;
    if (run === undefined || run.isHeld) break;
    const settled = run.calls.find((call) => call.is === 'settled');
    if (settled?.is === 'settled') {
      finishCall(draft, settled, settled.end);
      continue;
    }
    if (run.isCancelled) {
      if (run.calls.length > 0) endRun(draft, { status: 'cancelled' });
      break;
    }
    if (run.calls.length === 0) {
      generate(draft);
      break;
    }
    const next = run.calls.find((call, index) => call.is === 'ready' && isItsTurn(run.calls, index));
    if (next?.is !== 'ready') break;
    execute(draft, next);
  }
  draft.stateChanged();
}

/** Reads run side by side; the rest one after the other, as the model wrote it. */
function isItsTurn(calls: readonly CallState[], index: number): boolean {
  const isRead = (call: CallState | undefined) => call?.tool?.kind === 'read';
  return isRead(calls[index]) || calls.slice(0, index).every(isRead);
}

function execute(draft: Draft, call: Extract<CallState, { is: 'ready' }>): void {
  const { stored } = draft.state;
  const { project, sessionId } = stored.session;
  const { tool, args, callId, name } = call;
  // Between being asked for and being made a rule may have come.
  const act = toAct(tool, args, project);
  const verdict = typeof act === 'string' ? undefined : judge(act, [...draft.env.rules]);
  if (verdict?.effect === 'deny') {
    finishCall(draft, call, { outcome: 'denied', text: denial(verdict.reason) });
    return;
  }
  const request: ToolRequested = {
    type: 'tool.requested',
    runId: draft.state.run?.run.runId ?? '',
    callId,
    name,
    arguments: args,
    target: tool.target,
    ...(tool.target === 'client' ? { clientId: announcerOf(stored.tools, name, tool.clientId) } : {}),
    deadline: draft.env.now + timeoutOf(tool, draft.env),
    ...(tool.target === 'client' ? policyOf(tool, args, [...draft.env.rules], project) : {}),
  };
  let { stored: item } = call;
  if (tool.target === 'mcp' && tool.kind !== 'read') {
    item = { ...item, hidden: { ...item.hidden, isStarted: true } };
    draft.put('item', sessionId, item);
  }
  replaceCall(draft, { ...call, stored: item, is: 'executing', request });
  draft.emit(request);
}

export function timeoutOf(tool: Tool, env: Pick<Env, 'settings'>): number {
  return tool.timeoutMs ?? env.settings.toolTimeoutMs;
}

/** Returns who runs a client's tool by now: it may have waited for days. */
function announcerOf(tools: Draft['state']['stored']['tools'], name: string, clientId: string): string {
  return tools.find((tool) => tool.name === name && tool.isGone !== true)?.clientId ?? clientId;
}

export function replaceCall(draft: Draft, call: CallState): void {
  const calls = draft.state.run?.calls.map((each) => (each.callId === call.callId ? call : each)) ?? [];
  draft.setRun({ calls });
}

/** Stores what a call came to. */
export function finishCall(
  draft: Draft,
  call: CallState,
  end: CallEnd,
  effects: Omit<ServerToolResult, 'result'> = {},
): void {
  const { sessionId, agent } = draft.state.stored.session;
  const { item, hidden } = call.stored;
  if (call.is === 'settled' && call.approval !== undefined)
    draft.put('approval', {
      sessionId,
      approval: call.approval,
      pending: false,
      decidedWith: JSON.stringify({ decision: 'cancelled' }),
      resolution: resolutionOf('cancelled', 'service', draft.env.now),
    });
  const { shown, isWhole } = shorten(end.text, call.callId);
  const finished: Item = {
    ...item,
    status: end.outcome === 'cancelled' ? 'incomplete' : 'completed',
    toolCall: {
      ...(item.toolCall as NonNullable<Item['toolCall']>),
      outcome: end.outcome,
      result: shown,
      ...(isWhole ? {} : { resultId: call.callId }),
    },
  };
  draft.put('item', sessionId, { position: call.stored.position, item: finished, ...(hidden ? { hidden } : {}) });
  if (!isWhole) draft.put('result', sessionId, call.callId, end.text);
  draft.emit({ type: 'tool.finished', callId: call.callId, outcome: end.outcome });
  draft.emit({ type: 'item.completed', item: finished });
  if (effects.plan !== undefined) draft.addItem('plan', { plan: effects.plan });
  const changes = end.outcome === 'succeeded' ? changesMadeBy(call) : undefined;
  if (changes !== undefined) draft.addItem('file_change', { fileChange: { callId: call.callId, changes } });
  const { switchTo } = effects;
  if (switchTo !== undefined && switchTo.agent !== agent) switchAgent(draft, switchTo.agent, switchTo.reason, 'model');
  const run = draft.state.run as RunState;
  draft.setRun({ calls: run.calls.filter(({ callId }) => callId !== call.callId) });
  if (run.attempts > 0) {
    draft.setRun({ attempts: 0 });
    putRun(draft);
  }
}

/** Ends an approval: the call is made, or is not. */
export function resolveApproval(
  draft: Draft,
  call: Extract<CallState, { is: 'awaiting_approval' }>,
  how: {
    decision: NonNullable<NonNullable<Item['toolCall']>['decision']>['decision'];
    by: string;
    decidedWith: string;
    args?: Record<string, unknown> | undefined;
    feedback?: string | undefined;
  },
): void {
  const { sessionId } = draft.state.stored.session;
  const { decision, by, decidedWith, feedback, args = call.args } = how;
  const resolution = resolutionOf(decision, by, draft.env.now);
  const item = withResolution(call.stored.item, resolution, args);
  const { approval, callId, name, tool } = call;
  const stored = { ...call.stored, item };
  draft.put('approval', { sessionId, approval, pending: false, decidedWith, resolution });
  draft.put('item', sessionId, stored);
  draft.emit({ type: 'approval.resolved', callId, decision, by });
  const next = { callId, name, stored, args };
  replaceCall(
    draft,
    decision === 'allow' || decision === 'edit'
      ? { ...next, is: 'ready', tool }
      : {
          ...next,
          is: 'settled',
          tool,
          end: rejection({ decision, ...(feedback === undefined ? {} : { feedback }) }),
        },
  );
}

/** Ends the run: what is open gets a result that says so, and the next of the queue begins. */
export function endRun(draft: Draft, { status, error, notice }: RunEnd): void {
  const { run, input, calls } = draft.state.run as RunState;
  const { sessionId } = run;
  for (const call of calls) {
    let { item } = call.stored;
    if (call.is === 'awaiting_approval') {
      const resolution = resolutionOf('cancelled', 'service', draft.env.now);
      item = withResolution(item, resolution);
      draft.put('approval', {
        sessionId,
        approval: call.approval,
        pending: false,
        decidedWith: JSON.stringify({ decision: 'cancelled' }),
        resolution,
      });
      draft.emit({ type: 'approval.resolved', callId: call.callId, decision: 'cancelled', by: 'service' });
    }
    item = cancelled(item);
    draft.put('item', sessionId, { ...call.stored, item });
    draft.emit({ type: 'tool.finished', callId: call.callId, outcome: 'cancelled' });
    draft.emit({ type: 'item.completed', item });
  }
  if (notice !== undefined) draft.addItem('notice', { text: notice });
  const wire = error === undefined ? undefined : toWireError(error, input.requestId);
  draft.setRun({
    calls: [],
    run: {
      ...run,
      status,
      finishedAt: new Date(draft.env.now),
      ...(wire === undefined ? {} : { error: wire }),
    },
  });
  putRun(draft);
  draft.emit({
    type: 'run.finished',
    runId: run.runId,
    status,
    usage: run.usage,
    ...(run.costUsd === undefined ? {} : { costUsd: run.costUsd }),
    ...(wire === undefined ? {} : { error: wire }),
  });
  draft.state = { ...draft.state, run: undefined };
  beginNext(draft);
}

/** A call that will have no result gets one that says so: every call in the history has its result. */
function cancelled(item: Item): Item {
  return {
    ...item,
    status: 'incomplete',
    toolCall: {
      ...(item.toolCall as NonNullable<Item['toolCall']>),
      outcome: 'cancelled' satisfies ToolOutcome,
      result: 'The run ended before this call had a result.',
    },
  };
}

export function putRun(draft: Draft): void {
  const { run, attempts, isCancelled } = draft.state.run as RunState;
  draft.put('run', { run, resumes: attempts, isCancelled: isCancelled && run.status === 'running' });
}
