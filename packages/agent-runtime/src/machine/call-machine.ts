import type { Approval, Item, Resolution, ToolOutcome } from '@codelab/protocol';
import { evaluate } from '../policy/policy.ts';
import type { StoredItem } from '../store/store.ts';
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
  toToolAction,
  withResolution,
} from '../tools/tool-call.ts';
import type { Tool } from '../tools/tool-registry.ts';
import type { Draft, Env } from './draft.ts';
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

/** Begins a call, unless a rule denies it by now. */
export function execute(draft: Draft, call: Extract<CallState, { is: 'ready' }>): void {
  const { stored } = draft.state;
  const { project, sessionId } = stored.session;
  const { tool, args, callId, name } = call;
  // Between being asked for and being made a rule may have come.
  const act = toToolAction(tool, args, project);
  const verdict = typeof act === 'string' ? undefined : evaluate(act, [...draft.env.rules]);
  if (verdict?.effect === 'deny') {
    finishCall(draft, call, denial(verdict.reason));
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
    item = { ...item, modelOnly: { ...item.modelOnly, isStarted: true } };
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
  draft.put('item', sessionId, {
    position: call.stored.position,
    item: finished,
    ...(hidden ? { modelOnly: hidden } : {}),
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

/** Ends an approval: the call is made, or is not. */
export function resolveApproval(
  draft: Draft,
  call: Extract<CallState, { is: 'awaiting_approval' }>,
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
