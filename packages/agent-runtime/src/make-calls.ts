import { CodelabError, type Item, type Rule } from '@codelab/protocol';
import { createDeferred } from './deferred.ts';
import { changesOf } from './patch.ts';
import { judge } from './rules.ts';
import { newItem, type RunContext, showItem } from './run-context.ts';
import type { StoredItem } from './store/store.ts';
import {
  type CallEnd,
  type CallPolicy,
  type Decided,
  denial,
  keepResolution,
  type OpenCall,
  policyOf,
  prepareCall,
  rejection,
  resolutionOf,
  shorten,
  toAct,
} from './tool-calls.ts';
import type { ServerToolResult } from './tools/server-tool.ts';
import type { Tool } from './tools/toolbox.ts';
import { within } from './within.ts';

/** A client's tool that reports progress may take so long in all. */
const LONGEST_CALL_MS = 3_600_000;
/** When the end of an approval is stored again that could not be. */
const EXPIRE_AGAIN_MS = 1_000;

/** Makes the calls of a run: asks for what needs a yes, has the tools run, stores what came of it. */
export interface CallMaker {
  /** Those without a result. */
  readonly calls: Map<string, OpenCall>;
  /** The calls among the items of a step, checked. */
  prepare(items: StoredItem[]): Promise<OpenCall[]>;
  /** The open calls of a step that an earlier process has stored, with what was decided on them. */
  takeUp(): Promise<OpenCall[]>;
  /** Resolves when `takeUp` has: only then are they among `calls`. */
  readonly takenUp: Promise<void>;
  /** Resolves when each has its result, or the run is stopped. */
  makeCalls(calls: OpenCall[]): Promise<void>;
  /**
   * Stores and shows what a call came to. False where it had ended already. `deadlineMs`: how long it is tried to be stored; whoever
   * sends a result may send it again, what ran here is not run again.
   */
  finishCall(
    call: OpenCall,
    end: CallEnd,
    options?: { effects?: Omit<ServerToolResult, 'result'> | undefined; deadlineMs?: number },
  ): Promise<boolean>;
}

export function createCallMaker(context: RunContext): CallMaker {
  const { run, session, deps, log, signal, aborted } = context;
  const { store, toolbox, settings } = deps;
  const { writes } = store;
  const { sessionId } = session;
  const { runId } = run;
  const calls = new Map<string, OpenCall>();
  const takenUp = createDeferred<void>();

  let remembered: Rule[] = [];
  const rulesNow = async (): Promise<Rule[]> => {
    remembered = await store.rules(sessionId, session.session.project);
    return [...context.agentNow().rules, ...remembered];
  };

  const prepare = async (
    items: StoredItem[],
    tools = toolbox.toolsOf(session.stored.tools, context.agentNow()),
  ): Promise<OpenCall[]> => {
    const agent = context.agentNow();
    const { project } = session.session;
    const { approvalTimeoutMs } = settings;
    const onError = (err: unknown) => log.error({ err }, 'a tool call could not be checked');
    const options = {
      runId,
      agent,
      tools,
      toolbox,
      rules: await rulesNow(),
      project,
      approvalTimeoutMs,
      signal,
      onError,
    };
    return Promise.all(
      items.filter(({ item }) => item.kind === 'tool_call').map((stored) => prepareCall(stored, options)),
    );
  };

  /** The calls of a step that is stored already, with what was decided on them. */
  const takeUp = async (): Promise<OpenCall[]> => {
    const found = context.view.items.filter(
      ({ item }) => item.runId === runId && item.kind === 'tool_call' && item.status === 'in_progress',
    );
    const names = found.map(({ item }) => item.toolCall?.name ?? '');
    const prepared = await prepare(found, toolbox.toolsAgain(session.stored.tools, context.agentNow(), names));
    for (const call of prepared) {
      session.opened(call.stored);
      calls.set(call.callId, call);
      const known = await store.approval(sessionId, call.callId);
      if (known === undefined) {
        // It was allowed when it was made.
        call.approval = undefined;
      } else if (known.pending) {
        if (call.tool !== undefined)
          call.approval = { approval: known.approval, isPending: true, decided: createDeferred() };
        // Its tool has gone: nobody is asked any more.
        else {
          const decidedWith = JSON.stringify({ decision: 'cancelled' });
          const resolution = resolutionOf('cancelled', 'service');
          await store.commit([
            writes.approval({ sessionId, approval: known.approval, pending: false, decidedWith, resolution }),
          ]);
        }
      } else {
        const { decision, feedback } = JSON.parse(known.decidedWith ?? '{}') as Partial<Decided>;
        if (decision !== 'allow' && decision !== 'edit')
          call.end = rejection({ decision: decision ?? 'reject', ...(feedback === undefined ? {} : { feedback }) });
        call.approval = undefined;
      }
      if (call.tool?.target === 'mcp' && call.tool.kind !== 'read' && call.stored.hidden?.isStarted === true)
        call.end = {
          outcome: 'failed',
          text: 'The service was restarted while this ran: it is not known whether it took effect. Look before you do it again.',
        };
    }
    // Whoever came before they were known here is told now.
    for (const { approval } of prepared)
      if (approval !== undefined) session.emit({ type: 'approval.requested', approval: approval.approval });
    takenUp.resolve();
    return prepared;
  };

  const finishCall: CallMaker['finishCall'] = async (
    call,
    end,
    { effects = {}, deadlineMs = settings.storeTimeoutMs } = {},
  ) => {
    if (call.isFinished) return false;
    call.isFinished = true;
    const { item } = call.stored;
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
    const more: StoredItem[] = [];
    if (effects.plan !== undefined) more.push(newItem(context, 'plan', { plan: effects.plan }));
    const changes = end.outcome === 'succeeded' ? changesMadeBy(call) : undefined;
    if (changes !== undefined)
      more.push(newItem(context, 'file_change', { fileChange: { callId: call.callId, changes } }));
    const change =
      effects.switchTo === undefined || effects.switchTo.agent === session.session.agent
        ? undefined
        : session.switchWrites(effects.switchTo.agent, effects.switchTo.reason, 'model', runId);
    const { hidden } = call.stored;
    try {
      call.storing = store.commit(
        [
          writes.item(sessionId, { position: call.stored.position, item: finished, ...(hidden ? { hidden } : {}) }),
          ...(isWhole ? [] : [writes.result(sessionId, call.callId, end.text)]),
          ...more.map((stored) => writes.item(sessionId, stored)),
          ...(change?.writes ?? []),
        ],
        { deadlineMs },
      );
      await call.storing;
    } catch (error) {
      call.isFinished = false;
      change?.undo();
      throw error;
    }
    call.stored.item = finished;
    session.closed(call.stored);
    calls.delete(call.callId);
    call.isRunning = false;
    session.emit({ type: 'tool.finished', callId: call.callId, outcome: end.outcome });
    session.emit({ type: 'item.completed', item: { ...finished } });
    for (const stored of more) showItem(context, stored);
    change?.show();
    call.finished.resolve();
    context.gotOn();
    context.callsChanged();
    return true;
  };

  /** Who runs a client's tool by now: it may have waited for days. */
  const announcerOf = ({ name, clientId }: Extract<Tool, { target: 'client' }>): string =>
    session.stored.tools.find((tool) => tool.name === name && tool.isGone !== true)?.clientId ?? clientId;

  /** Resolves when the call may be made, or has ended. */
  const permitted = async (call: OpenCall): Promise<void> => {
    const { approval } = call;
    if (approval === undefined || !approval.isPending) return;
    context.callsChanged();
    const timer = setTimeout(
      () => void expire(call),
      Math.min(Math.max(approval.approval.deadline.getTime() - Date.now(), 0), 2 ** 31 - 1),
    );
    const decided = await Promise.race([
      approval.decided.promise,
      aborted,
      call.finished.promise.then(() => undefined),
    ]);
    clearTimeout(timer);
    if (decided === undefined || decided.decision === 'allow' || decided.decision === 'edit') return;
    call.end = rejection(decided);
  };

  /** Ends an approval that nobody decided on, as soon as that can be stored. */
  const expire = async (call: OpenCall): Promise<void> => {
    const { approval } = call;
    if (approval === undefined || !approval.isPending || call.isFinished || signal.aborted) return;
    approval.isPending = false;
    const decided: Decided = { decision: 'timed_out' };
    const decidedWith = JSON.stringify(decided);
    const resolution = resolutionOf('timed_out', 'service');
    call.storing = store.commit(
      [writes.approval({ sessionId, approval: approval.approval, pending: false, decidedWith, resolution })],
      { deadlineMs: settings.storeTimeoutMs },
    );
    try {
      await call.storing;
    } catch (err) {
      log.warn({ err }, 'the end of an approval could not be stored: trying again');
      approval.isPending = true;
      await within(EXPIRE_AGAIN_MS, aborted);
      return expire(call);
    }
    keepResolution(call.stored, resolution);
    session.emit({ type: 'approval.resolved', callId: call.callId, decision: 'timed_out', by: 'service' });
    approval.decided.resolve(decided);
    context.callsChanged();
  };

  const makeCall = async (call: OpenCall): Promise<void> => {
    if (signal.aborted || call.isFinished) return;
    const { tool, end } = call;
    if (end !== undefined || tool === undefined) {
      await finishCall(call, end ?? { outcome: 'failed', text: 'There is no such tool.' });
      return;
    }
    // Between being asked for and being made a rule may have come. A database that is gone for a moment ends no run.
    const rules = await rulesNow().catch(() => [...context.agentNow().rules, ...remembered]);
    const act = toAct(tool, call.args, session.session.project);
    const verdict = typeof act === 'string' ? undefined : judge(act, rules);
    if (verdict?.effect === 'deny') {
      await finishCall(call, { outcome: 'denied', text: denial(verdict.reason) });
      return;
    }
    const policy: CallPolicy =
      tool.target === 'client' ? policyOf(tool, call.args, rules, session.session.project) : {};
    const timeoutMs = tool.timeoutMs ?? settings.toolTimeoutMs;
    const request = (): NonNullable<OpenCall['request']> => ({
      type: 'tool.requested',
      runId,
      callId: call.callId,
      name: call.name,
      arguments: call.args,
      target: tool.target,
      ...(tool.target === 'client' ? { clientId: announcerOf(tool) } : {}),
      deadline: Date.now() + timeoutMs,
      ...policy,
    });
    call.isRunning = true;
    context.callsChanged();
    if (tool.target === 'client') {
      call.request = request();
      session.emit(call.request);
      await clientAnswer(call, timeoutMs);
      return;
    }
    if (tool.target === 'mcp' && tool.kind !== 'read') {
      call.stored.hidden = { ...call.stored.hidden, isStarted: true };
      await store.commit([writes.item(sessionId, call.stored)], { deadlineMs: settings.storeTimeoutMs });
    }
    session.emit(request());
    const ran = await within(timeoutMs, Promise.race([ranHere(call, timeoutMs), aborted]));
    if (signal.aborted) return;
    await finishCall(call, ran?.end ?? lateEnd(timeoutMs), { effects: ran?.effects });
  };

  interface Ran {
    end: CallEnd;
    effects?: Omit<ServerToolResult, 'result'>;
  }

  const ranHere = async ({ tool, args }: OpenCall, timeoutMs: number): Promise<Ran> => {
    try {
      if (tool?.target === 'mcp') {
        const text = await tool.call(args, { signal, timeoutMs });
        return { end: { outcome: 'succeeded', text } };
      }
      if (tool?.target !== 'server') throw new Error('It runs elsewhere.');
      const { result, ...effects } = await tool.execute(args, { sessionId, signal });
      return { end: { outcome: 'succeeded', text: result }, effects };
    } catch (error) {
      const isLate = error instanceof CodelabError && error.code === 'TOOL_TIMEOUT';
      return { end: { outcome: isLate ? 'timed_out' : 'failed', text: (error as Error).message } };
    }
  };

  /** Resolves when the client's result has come, or its time is over. */
  const clientAnswer = async (call: OpenCall, timeoutMs: number): Promise<void> => {
    const started = Date.now();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      const arm = () => {
        clearTimeout(timer);
        const left = Math.min(timeoutMs, started + Math.max(LONGEST_CALL_MS, timeoutMs) - Date.now());
        timer = setTimeout(() => resolve('late'), left);
        if (call.request !== undefined) call.request.deadline = Date.now() + left;
      };
      call.extend = arm;
      arm();
    });
    const first = await Promise.race([call.finished.promise, aborted, late]);
    clearTimeout(timer);
    if (first === 'late') await finishCall(call, lateEnd(timeoutMs));
  };

  const makeCalls = async (open: OpenCall[]): Promise<void> => {
    // What only reads runs side by side; the rest one after the other, as the model wrote it.
    let last: Promise<void> = Promise.resolve();
    const all = open.map((call) => {
      const allowed = permitted(call);
      if (call.tool?.kind === 'read' || call.end !== undefined) return allowed.then(() => makeCall(call));
      const before = last;
      last = (async () => {
        await before;
        await allowed;
        await makeCall(call);
      })();
      return last;
    });
    const results = await Promise.allSettled(all);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  };

  return { calls, prepare, takeUp, takenUp: takenUp.promise, makeCalls, finishCall };
}

function changesMadeBy({ name, args, tool }: OpenCall): NonNullable<Item['fileChange']>['changes'] | undefined {
  if (tool?.kind !== 'write' && tool?.kind !== 'delete') return undefined;
  if (name === 'apply_patch') {
    const changes = changesOf(args.patch);
    return typeof changes === 'string' ? undefined : changes;
  }
  const path = tool.resource === undefined ? undefined : args[tool.resource];
  if (typeof path !== 'string') return undefined;
  return [{ path, change: tool.kind === 'delete' ? 'delete' : 'modify', hunks: [] }];
}

function lateEnd(timeoutMs: number): CallEnd {
  return {
    outcome: 'timed_out',
    text: `The tool did not answer within ${Math.round(timeoutMs / 100) / 10} s. It may still be running.`,
  };
}
