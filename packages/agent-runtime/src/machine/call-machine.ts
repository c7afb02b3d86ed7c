import {
  type Approval,
  CodelabError,
  type FileChange,
  type Item,
  type Resolution,
  type ToolOutcome,
} from '@codelab/protocol';
import { evaluate } from '../policy/policy.ts';
import type { StoredItem } from '../store/store.ts';
import { announcersOf } from '../tools/announced-tools.ts';
import type { ServerToolResult } from '../tools/server-tool.ts';
import {
  type CallEnd,
  changesMadeBy,
  denial,
  type PreparedCall,
  policyOf,
  rejection,
  resolutionOf,
  shorten,
  toSeconds,
  toToolAction,
  withResolution,
} from '../tools/tool-call.ts';
import type { Tool } from '../tools/tool-registry.ts';
import type { Draft, Env, Presence } from './draft.ts';
import type { CallState, RunState, ToolRequested } from './state.ts';
import { switchAgent } from './switch-agent.ts';

/** Returns the first state of a call as it was checked. `refusal`: why none of the step's calls is made. */
export function toCallState(stored: StoredItem, prepared: PreparedCall[], refusal: string | undefined): CallState {
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

/** Reads run side by side; the rest one after the other, as the model wrote it. */
export function isItsTurn(calls: readonly CallState[], index: number): boolean {
  const isRead = (call: CallState | undefined) => call?.tool?.kind === 'read';
  return isRead(calls[index]) || calls.slice(0, index).every(isRead);
}

type ReadyCall = Extract<CallState, { is: 'ready' }>;
type AwaitingCall = Extract<CallState, { is: 'awaiting_approval' }>;
type OpenCall = Extract<CallState, { is: 'ready' | 'executing' }>;

/** Begins a call, unless a rule denies it by now. A client's call needs one that takes it (`takerOf`). */
export function execute(draft: Draft, call: ReadyCall): void {
  const { project, sessionId } = draft.state.stored.session;
  const { tool, args, callId, name } = call;
  const denied = denialOf(draft, call);
  if (denied !== undefined) {
    finishCall(draft, call, denied);
    return;
  }
  const clientId = tool.target === 'client' ? takerOf(draft, call) : undefined;
  const request: ToolRequested = {
    type: 'tool.requested',
    runId: draft.state.run?.run.runId ?? '',
    callId,
    name,
    arguments: args,
    target: tool.target,
    ...(clientId === undefined ? {} : { clientId }),
    deadline: draft.env.now + timeoutOf(tool, draft.env),
    ...(tool.target === 'client' ? policyOf(tool, args, [...draft.env.rules], project) : {}),
  };
  let { stored: item } = call;
  if (tool.target === 'mcp' && tool.kind !== 'read') {
    item = { ...item, modelOnly: { ...item.modelOnly, isStarted: true } };
    draft.put('item', sessionId, item);
  }
  if (clientId !== undefined) item = offer(draft, item, clientId);
  replaceCall(draft, { callId, name, args, tool, stored: item, is: 'executing', request });
  draft.emit(request);
}

/** Returns the end of a call that a rule denies by now: one may have come since it was asked for. */
function denialOf(draft: Draft, { tool, args }: Extract<CallState, { is: 'ready' }>): CallEnd | undefined {
  const act = toToolAction(tool, args, draft.state.stored.session.project);
  const verdict = typeof act === 'string' ? undefined : evaluate(act, [...draft.env.rules]);
  return verdict?.effect === 'deny' ? denial(verdict.reason) : undefined;
}

/** Stores who a call is offered to: after a restart it is still that client's. */
function offer(draft: Draft, item: StoredItem, clientId: string): StoredItem {
  if (item.modelOnly?.offeredTo === clientId) return item;
  const offered = { ...item, modelOnly: { ...item.modelOnly, offeredTo: clientId } };
  draft.put('item', draft.state.stored.session.sessionId, offered);
  return offered;
}

/** Returns the client that a call goes to: the one that has it until that is gone, else the newest that is here, else one that may come back. */
function takerOf({ state, env }: Draft, { name, stored, tool }: OpenCall | AwaitingCall): string | undefined {
  const offeredTo = stored.modelOnly?.offeredTo;
  if (offeredTo !== undefined && env.presence(offeredTo) !== 'gone') return offeredTo;
  const known = announcersOf(state.stored.tools.find((each) => each.name === name));
  // Withdrawn since the model asked for it: only the client that had it can say so.
  const announcers = known.length === 0 && tool.target === 'client' ? [tool.clientId] : known;
  const newest = (presence: Presence) => announcers.find((clientId) => env.presence(clientId) === presence);
  return newest('here') ?? newest('away');
}

/** Offers calls to another client where the one that had them is gone. Without any they wait, as those that nobody had. */
export function moveCalls(draft: Draft): void {
  const { run } = draft.state;
  if (run === undefined || run.isHeld) return;
  for (const call of run.calls) {
    if (call.is !== 'executing' || call.tool.target !== 'client') continue;
    const { request, is: _, ...rest } = call;
    const clientId = takerOf(draft, call);
    if (clientId === request.clientId) continue;
    if (clientId === undefined) {
      replaceCall(draft, { ...rest, is: 'ready' });
      continue;
    }
    const moved = { ...request, clientId, deadline: draft.env.now + timeoutOf(call.tool, draft.env) };
    replaceCall(draft, { ...call, stored: offer(draft, call.stored, clientId), request: moved });
    draft.emit(moved);
  }
}

/** True for a call that can begin: a client's needs somebody who runs it. */
export function canBegin(draft: Draft, call: CallState): call is ReadyCall {
  return call.is === 'ready' && (call.tool.target !== 'client' || takerOf(draft, call) !== undefined);
}

/** Says that a call waits for a client, and how long. */
export function leaveUnattended(draft: Draft, call: ReadyCall): void {
  const { clientTimeoutMs } = draft.env.settings;
  replaceCall(draft, { ...call, unattendedUntil: draft.env.now + clientTimeoutMs });
  draft.addItem('notice', {
    text: `No client that has the tool "${call.name}" is connected: its call waits ${toSeconds(clientTimeoutMs)} s for one.`,
  });
  // Waiting for a client brings no process down.
  const { attempts } = draft.state.run as RunState;
  if (attempts === 0) return;
  draft.setRun({ attempts: 0 });
  draft.putRun();
}

/** Returns the result of a call that no client came for. */
export function unattendedEnd({ name, stored }: CallState): CallEnd {
  const text = `No client that has the tool "${name}" is connected.`;
  return stored.modelOnly?.offeredTo === undefined
    ? { outcome: 'failed', text: `${text} The call was not made.` }
    : {
        outcome: 'failed',
        text: `${text} The one that was to run this call is gone: it is not known whether it took effect.`,
      };
}

export function timeoutOf(tool: Tool, env: Pick<Env, 'settings'>): number {
  return tool.timeoutMs ?? env.settings.toolTimeoutMs;
}

function replaceCall(draft: Draft, call: CallState): void {
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
  const { item, modelOnly: hidden } = call.stored;
  if (call.is === 'settled' && call.approval !== undefined) cancelApproval(draft, call.approval);
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
  const modelOnly = end.media === undefined ? hidden : { ...hidden, media: end.media };
  draft.put('item', sessionId, {
    position: call.stored.position,
    item: finished,
    ...(modelOnly === undefined ? {} : { modelOnly }),
  });
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
    draft.putRun();
  }
}

/**
 * Adds to an approval what its call would change, from the client that it goes to as things are: another one may have another folder. Returns false where the
 * approval has that already.
 */
export function updateApproval(draft: Draft, call: AwaitingCall, clientId: string, changes: FileChange[]): boolean {
  const { callId, approval, name } = call;
  if (approval.preview === undefined)
    throw new CodelabError(
      'VALIDATION',
      `A call of "${name}" takes no preview: what it changes is known, or no client runs it.`,
    );
  if (takerOf(draft, call) !== clientId)
    throw new CodelabError(
      'FORBIDDEN',
      `The call of "${name}" would not go to the client "${clientId}": its preview is not wanted.`,
    );
  if (JSON.stringify(approval.changes) === JSON.stringify(changes)) return false;
  const updated = { ...approval, changes };
  replaceCall(draft, { ...call, approval: updated });
  draft.put('approval', { sessionId: draft.state.stored.session.sessionId, approval: updated, pending: true });
  draft.emit({ type: 'approval.updated', callId, changes });
  return true;
}

/** Ends an approval: the call is made, or is not. */
export function resolveApproval(
  draft: Draft,
  call: AwaitingCall,
  how: {
    decision: NonNullable<NonNullable<Item['toolCall']>['decision']>['decision'];
    by: string;
    decisionJson: string;
    args?: Record<string, unknown> | undefined;
    feedback?: string | undefined;
  },
): void {
  const { sessionId } = draft.state.stored.session;
  const { decision, by, decisionJson, feedback, args = call.args } = how;
  const resolution = resolutionOf(decision, by, draft.env.now);
  const item = withResolution(call.stored.item, resolution, args);
  const { approval, callId, name, tool } = call;
  const stored = { ...call.stored, item };
  draft.put('approval', { sessionId, approval, pending: false, decisionJson, resolution });
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

/** A decision that a client has made by making the call, or by failing to. */
export interface ResultDecision {
  decision: 'allow' | 'reject';
  by: string;
  decisionJson: string;
  feedback?: string | undefined;
}

/** Ends a call that waits for a decision in one commit: decided on, and with the result that its client has for it already. */
export function decideByResult(draft: Draft, call: AwaitingCall, end: CallEnd, decision: ResultDecision): void {
  resolveApproval(draft, call, decision);
  const decided = draft.state.run?.calls.find(({ callId }) => callId === call.callId);
  if (decided?.is === 'settled') finishCall(draft, decided, decided.end);
  if (decided?.is !== 'ready') return;
  const denied = denialOf(draft, decided);
  finishCall(draft, decided, denied ?? end);
}

/** Ends an approval that nobody needs to decide any more. */
function cancelApproval(draft: Draft, approval: Approval): Resolution {
  const { sessionId } = draft.state.stored.session;
  const resolution = resolutionOf('cancelled', 'service', draft.env.now);
  const decisionJson = JSON.stringify({ decision: 'cancelled' });
  draft.put('approval', { sessionId, approval, pending: false, decisionJson, resolution });
  draft.emit({ type: 'approval.resolved', callId: approval.callId, decision: 'cancelled', by: 'service' });
  return resolution;
}

/** Ends a call with its run: it gets a result that says so. */
export function cancelCall(draft: Draft, call: CallState): void {
  const { sessionId } = draft.state.stored.session;
  let { item } = call.stored;
  if (call.is === 'awaiting_approval') item = withResolution(item, cancelApproval(draft, call.approval));
  item = cancelled(item);
  draft.put('item', sessionId, { ...call.stored, item });
  draft.emit({ type: 'tool.finished', callId: call.callId, outcome: 'cancelled' });
  draft.emit({ type: 'item.completed', item });
}

/** A call that will have no result gets one that says so: every call in the history has its result. */
export function cancelled(item: Item): Item {
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
