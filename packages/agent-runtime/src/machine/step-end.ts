import { CodelabError, type Item, isErrorCode } from '@codelab/protocol';
import type { ModelStep } from '../model/accumulate-step.ts';
import type { StoredItem } from '../store/store.ts';
import type { PreparedCall } from '../tools/tool-call.ts';
import { cancelled, toCallState } from './call-machine.ts';
import type { Draft } from './draft.ts';
import { advance, endRun, type RunEnd, withUsage } from './run-machine.ts';
import type { RunState } from './state.ts';

/** The same calls are refused from this time in a row on. */
const REFUSED_AT = 4;
/** The run ends when the same calls were made so many times in a row. */
const STOPPED_AT = 7;
/** The run ends when so many answers in a row were cut off in the middle of calls. */
const CUT_OFF_AT = 3;

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
  draft.putRun();
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
  return new CodelabError(isErrorCode(code) ? code : 'INTERNAL', message, {
    ...(details === undefined ? {} : { details }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** The item with the number of its step and its place in the history. */
function placed(draft: Draft, step: ModelStep, item: Item): StoredItem {
  const position = draft.state.position + 1;
  draft.state = { ...draft.state, position };
  const hidden = item === step.items[0] && step.thinking.length > 0 ? { thinking: step.thinking } : undefined;
  return { position, item, ...(hidden === undefined ? {} : { modelOnly: hidden }) };
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
