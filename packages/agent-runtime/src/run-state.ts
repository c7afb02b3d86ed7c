import { setMaxListeners } from 'node:events';
import {
  CodelabError,
  type Item,
  type NewSessionEvent,
  newId,
  noUsage,
  type Run,
  toWireError,
  type WireError,
} from '@codelab/protocol';
import { createModelAsker } from './ask-model.ts';
import { createDeferred } from './deferred.ts';
import { type CallMaker, createCallMaker } from './make-calls.ts';
import type { ModelStep } from './model-step.ts';
import { addToRun, newItem, type RunContext, showItem } from './run-context.ts';
import { type RunEnd, runLoop } from './run-loop.ts';
import type { RunSession, SessionDeps } from './session-types.ts';
import type { StoredInput, StoredItem, StoredRun } from './store/store.ts';
import type { Write } from './store/writer.ts';
import { keepResolution, type OpenCall, resolutionOf } from './tool-calls.ts';
import { within } from './within.ts';

/** The end of a cancelled run is shown after so long, even where the database could not store it yet; it still will be. */
const CANCELLED_SHOWN_MS = 4_000;
const END_STORED_MS = 24 * 3_600_000;

/** A run that the process ended under so often, without getting on in between, brings it down: it is not tried again. */
const MAX_RESUMES = 5;
const STORE_AGAIN_MS = 1_000;

/** One run at work. */
export interface RunState {
  readonly run: Run;
  /** True while nothing goes on until a person decides. */
  readonly isWaiting: boolean;
  readonly calls: CallMaker['calls'];
  readonly finishCall: CallMaker['finishCall'];
  readonly takenUp: CallMaker['takenUp'];
  readonly done: Promise<void>;
  /** What waits for an answer, as it was announced. */
  openRequests(): NewSessionEvent[];
  /** Announces the calls of `tools` that wait again: for `clientId`, which has come. */
  offerAgain(clientId: string, tools: Set<string>): void;
  /** Stores the beginning, together with `more`. */
  store(more?: Write[], deadlineMs?: number): Promise<void>;
  /** Shows the beginning, and works. */
  go(): void;
  /** Before `go`: it does not begin. */
  abandon(): void;
  /** Stops. Resolves when that is stored. */
  cancel(): Promise<void>;
  /** Stops, and leaves everything as it is stored. */
  suspend(): void;
}

export interface RunStateOptions {
  session: RunSession;
  deps: SessionDeps;
  input: StoredInput;
  /** `isWaiting`: for a person, which brings nothing down, however often the service is started anew meanwhile. */
  resumed?: StoredRun & { isWaiting: boolean };
}

export async function createRunState({ session, deps, input, resumed }: RunStateOptions): Promise<RunState> {
  const { store, agents, settings, lifecycle } = deps;
  const { writes } = store;
  const { sessionId } = session;
  const { requestId } = input;
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  let ending: 'cancelled' | 'suspended' | undefined;
  const done = createDeferred<void>();

  /** The one that comes with the input, until the switch to it is stored. */
  let coming = resumed === undefined ? input.agent : undefined;
  const agentNow = () => agents.find(coming ?? session.session.agent);
  const modelNow = () => {
    const own = input.input.model ?? session.session.model;
    return own === 'default' ? (agentNow().model ?? settings.model) : own;
  };
  const run: Run = resumed?.run ?? {
    runId: newId('run'),
    sessionId,
    inputId: input.input.inputId,
    agent: agentNow().name,
    model: modelNow(),
    status: 'running',
    steps: 0,
    usage: noUsage,
    startedAt: new Date(),
  };
  const { runId } = run;
  const log = deps.log.child({ requestId, sessionId, runId });

  let resumes = resumed?.resumes ?? 0;
  const runWrite = () =>
    writes.run({
      run,
      resumes,
      isCancelled: ending === 'cancelled' && run.status === 'running',
    });

  const context: RunContext = {
    run,
    session,
    deps,
    requestId,
    log,
    signal: abort.signal,
    aborted: new Promise((resolve) => abort.signal.addEventListener('abort', () => resolve(undefined))),
    view: await session.view(),
    agentNow,
    modelNow,
    gotOn() {
      gotOn.resolve();
      if (resumes === 0) return;
      resumes = 0;
      store.commit([runWrite()]).catch((err) => log.warn({ err }, 'that the run gets on could not be stored'));
    },
    callsChanged() {
      session.stateChanged();
      if (lifecycle.draining.aborted && state.isWaiting) state.suspend();
    },
  };
  const gotOn = createDeferred<void>();
  const asker = createModelAsker(context);
  const caller = createCallMaker(context);
  const { calls } = caller;
  const beginning = resumed === undefined ? deliver(input, true) : undefined;

  /** An input as part of this run. */
  function deliver(stored: StoredInput, isFirst: boolean) {
    const { attachments, agent } = stored;
    const delivered: StoredInput = { ...stored, input: { ...stored.input, status: 'delivered', runId } };
    const { inputId, content, attachments: files } = delivered.input;
    const change =
      agent === undefined || agent === session.session.agent
        ? undefined
        : session.switchWrites(agents.find(agent).name, 'The person chose it.', 'user', runId);
    const said = newItem(context, 'user_message', {
      text: content,
      inputId,
      ...(files === undefined ? {} : { attachments: files }),
    });
    session.keepAttachments(inputId, attachments);
    return {
      said,
      undo: () => change?.undo(),
      writes: [writes.input(delivered), writes.item(sessionId, said), ...(change?.writes ?? [])],
      show() {
        if (isFirst) session.stateChanged();
        session.emit({ type: 'input.delivered', inputId, runId });
        if (isFirst) session.emit({ type: 'run.started', runId, inputId, agent: run.agent, model: run.model });
        change?.show();
        context.view.items.push(said);
        showItem(context, said);
      },
    };
  }

  /** The step that is not stored yet. */
  let unstored: ModelStep | undefined;
  const counted = new WeakSet<ModelStep>();
  const stepWrites = (step: ModelStep): Write[] => {
    if (!counted.has(step)) {
      counted.add(step);
      run.steps++;
      addToRun(context, step.usage, step.costUsd);
    }
    const { model, usage, costUsd } = step;
    return [
      writes.step({ runId, step: run.steps, sessionId, model, usage, costUsd }),
      ...step.items.map((stored) => writes.item(sessionId, stored)),
    ];
  };
  /** What has no result yet is still open. */
  const storedNow = ({ items }: ModelStep): void => {
    for (const stored of items) if (stored.item.status !== 'in_progress') session.closed(stored);
  };
  /** What was said is final now. Calls go on, or say so themselves. */
  const showItems = (step: ModelStep, except: ReadonlySet<StoredItem> = new Set()) => {
    for (const stored of step.items)
      if (stored.item.status !== 'in_progress' && !except.has(stored))
        session.emit({ type: 'item.completed', item: { ...stored.item } });
  };
  const showStep = ({ model, usage, costUsd, finishReason, error }: ModelStep) => {
    session.emit({
      type: 'step.finished',
      runId,
      model,
      usage,
      ...(costUsd === undefined ? {} : { costUsd }),
      finishReason: finishReason ?? (error === undefined ? 'cancelled' : 'error'),
    });
  };

  const keepStep = async (step: ModelStep, refusal: string | undefined): Promise<OpenCall[]> => {
    const prepared = await caller.prepare(step.items);
    resumes = 0;
    gotOn.resolve();
    for (const call of prepared) {
      const { item } = call.stored;
      if (refusal !== undefined) {
        call.end = { outcome: 'failed', text: refusal };
        call.approval = undefined;
      }
      item.toolCall = {
        ...(item.toolCall as NonNullable<Item['toolCall']>),
        ...(call.tool === undefined ? {} : { arguments: call.args, target: call.tool.target }),
      };
    }
    await store.commit(
      [
        ...stepWrites(step),
        runWrite(),
        ...prepared.flatMap(({ approval }) =>
          approval === undefined ? [] : [writes.approval({ sessionId, approval: approval.approval, pending: true })],
        ),
      ],
      { deadlineMs: settings.storeTimeoutMs },
    );
    unstored = undefined;
    storedNow(step);
    context.view.items.push(...step.items);
    showItems(step);
    showStep(step);
    for (const call of prepared) calls.set(call.callId, call);
    for (const { approval } of prepared)
      if (approval !== undefined) session.emit({ type: 'approval.requested', approval: approval.approval });
    return prepared;
  };

  const finish = async ({ status, step, error, notice }: RunEnd): Promise<void> => {
    // A result or a decision that is being stored comes before the end.
    await within(CANCELLED_SHOWN_MS, Promise.allSettled([...calls.values()].map(({ storing }) => storing)));
    const changes: Write[] = [];
    const shows: Array<() => void> = [];
    const closing = [...calls.values()].map((call) => call.stored);
    const closed = new Set<StoredItem>();
    if (step !== undefined) {
      for (const stored of step.items) {
        if (stored.item.kind !== 'tool_call' || stored.item.status !== 'in_progress') continue;
        closed.add(stored);
        closeCall(stored, shows);
      }
      changes.push(...stepWrites(step));
    }
    for (const call of calls.values()) {
      if (call.isFinished) continue;
      call.isFinished = true;
      const { approval } = call;
      if (approval?.isPending === true) {
        approval.isPending = false;
        const decidedWith = JSON.stringify({ decision: 'cancelled' });
        const resolution = resolutionOf('cancelled', 'service');
        keepResolution(call.stored, resolution);
        changes.push(
          writes.approval({ sessionId, approval: approval.approval, pending: false, decidedWith, resolution }),
        );
        shows.unshift(() =>
          session.emit({ type: 'approval.resolved', callId: call.callId, decision: 'cancelled', by: 'service' }),
        );
      }
      closeCall(call.stored, shows);
      changes.push(writes.item(sessionId, call.stored));
    }
    const noticed = notice === undefined ? undefined : newItem(context, 'notice', { text: notice });
    if (noticed !== undefined) changes.push(writes.item(sessionId, noticed));
    run.status = status;
    run.finishedAt = new Date();
    if (error !== undefined) run.error = error;
    changes.push(runWrite());
    const stored = store.commit(changes, { deadlineMs: END_STORED_MS });
    // Until then the history has what was said from here.
    session.runEnds(runId, stored);
    stored
      .then(() => {
        for (const each of [...(step?.items ?? []), ...closing]) session.closed(each);
      })
      .catch((err) => log.error({ err }, 'the end of the run could not be stored: it goes on after a restart'));
    const shownMs = ending === 'cancelled' ? CANCELLED_SHOWN_MS : settings.storeTimeoutMs;
    await within(
      shownMs,
      stored.catch(() => {}),
    );
    if (step !== undefined) {
      context.view.items.push(...step.items);
      showItems(step, closed);
    }
    for (const show of shows) show();
    if (step !== undefined) showStep(step);
    if (noticed !== undefined) showItem(context, noticed);
    session.emit({
      type: 'run.finished',
      runId,
      status,
      usage: run.usage,
      ...(run.costUsd === undefined ? {} : { costUsd: run.costUsd }),
      ...(error === undefined ? {} : { error }),
    });
    session.runOver();
    log.info(
      { status, code: error?.code, steps: run.steps, usage: run.usage, ms: Date.now() - run.startedAt.getTime() },
      'run finished',
    );
  };

  /** A call that will have no result gets one that says so: every call in the history has its result. */
  const closeCall = (stored: StoredItem, shows: Array<() => void>) => {
    const toolCall = stored.item.toolCall as NonNullable<Item['toolCall']>;
    stored.item = {
      ...stored.item,
      status: 'incomplete',
      toolCall: { ...toolCall, outcome: 'cancelled', result: 'The run ended before this call had a result.' },
    };
    shows.push(() => {
      session.emit({ type: 'tool.finished', callId: toolCall.callId, outcome: 'cancelled' });
      session.emit({ type: 'item.completed', item: { ...stored.item } });
    });
  };

  const work = async (): Promise<void> => {
    const release = lifecycle.begin();
    lifecycle.draining.addEventListener('abort', context.callsChanged);
    try {
      await end(await loop());
    } catch (err) {
      log.error({ err }, 'the run broke off');
      await end({
        status: 'failed',
        error: asWireError(err),
        ...(unstored === undefined ? {} : { step: unstored }),
      });
    }
    lifecycle.draining.removeEventListener('abort', context.callsChanged);
    release();
    gotOn.resolve();
    done.resolve();
  };

  /** A run of an earlier process that goes on: what it may do to this one is known before it does it. */
  const goOn = async (): Promise<void> => {
    if (resumed?.isWaiting === true) return gotOn.resolve();
    await deps.probation.turn(resumes, gotOn.promise, context.aborted);
    for (resumes++; !abort.signal.aborted; await within(STORE_AGAIN_MS, context.aborted)) {
      try {
        return await store.commit([runWrite()], { deadlineMs: settings.storeTimeoutMs });
      } catch (err) {
        log.warn({ err }, 'that an unfinished run goes on could not be stored: trying again');
      }
    }
  };

  let hasEnded = false;
  const end = async ({ error, ...how }: RunEnd): Promise<void> => {
    if (hasEnded) return;
    hasEnded = true;
    if (ending === 'suspended') return session.runSuspended();
    // A stop wins over what it broke.
    if (ending === 'cancelled' && how.status !== 'completed') await finish({ ...how, status: 'cancelled' });
    else await finish(error === undefined ? how : { ...how, error });
    await session.startNext();
  };

  const asWireError = (thrown: unknown): WireError =>
    toWireError(thrown instanceof CodelabError ? thrown : new CodelabError('INTERNAL'), requestId);

  const loop = async (): Promise<RunEnd> => {
    if (resumed?.isCancelled === true) {
      ending = 'cancelled';
      abort.abort();
      await caller.takeUp();
      return { status: 'cancelled' };
    }
    const open = resumed === undefined ? [] : await caller.takeUp();
    if (resumed !== undefined) await goOn();
    if (resumes > MAX_RESUMES) {
      const error = new CodelabError('INTERNAL', 'The service was stopped in the middle of this run again and again.');
      return { status: 'failed', error: toWireError(error, requestId) };
    }
    return runLoop(
      {
        signal: abort.signal,
        maxSteps: settings.maxSteps,
        get steps() {
          return run.steps;
        },
        requestId,
        async deliverSteers() {
          // They would stand before an answer that does not know of them, and get none of their own.
          if (asker.hasAsked) return;
          await session.takeSteers(async (inputs) => {
            const delivered = inputs.map((stored) => deliver(stored, false));
            try {
              await store.commit(
                delivered.flatMap((each) => each.writes),
                { deadlineMs: settings.storeTimeoutMs },
              );
            } catch (error) {
              for (const { undo } of delivered.reverse()) undo();
              throw error;
            }
            for (const { show } of delivered) show();
          });
        },
        hasSteers: session.hasSteers,
        async askModel() {
          unstored = await asker.askModel();
          return unstored;
        },
        keepStep,
        makeCalls: caller.makeCalls,
      },
      open,
    );
  };

  const state: RunState = {
    run,
    calls,
    takenUp: resumed === undefined ? Promise.resolve() : caller.takenUp,
    done: done.promise,
    get isWaiting() {
      const open = [...calls.values()];
      return open.some(({ approval }) => approval?.isPending === true) && !open.some(({ isRunning }) => isRunning);
    },
    openRequests: () =>
      [...calls.values()].flatMap(({ approval, request, isFinished }): NewSessionEvent[] => {
        if (isFinished) return [];
        if (approval?.isPending === true) return [{ type: 'approval.requested', approval: approval.approval }];
        return request === undefined ? [] : [request];
      }),
    offerAgain(clientId, tools) {
      for (const call of calls.values()) {
        if (call.isFinished || call.request === undefined || !tools.has(call.name)) continue;
        if (call.request.clientId === clientId) continue;
        call.request = { ...call.request, clientId };
        call.extend?.();
        session.emit(call.request);
      }
    },
    store: (more = [], deadlineMs) =>
      store.commit([...(beginning?.writes ?? []), runWrite(), ...more], deadlineMs === undefined ? {} : { deadlineMs }),
    go() {
      beginning?.show();
      coming = undefined;
      if (beginning === undefined) session.stateChanged();
      log.info(
        { agent: run.agent, model: run.model },
        resumed === undefined ? 'run started' : 'an unfinished run goes on',
      );
      void work();
    },
    abandon() {
      ending = 'suspended';
      abort.abort();
      beginning?.undo();
      asker.forget();
      done.resolve();
    },
    async cancel() {
      ending ??= 'cancelled';
      abort.abort();
      await store.commit([runWrite()]);
    },
    suspend() {
      ending = 'suspended';
      abort.abort();
    },
    finishCall: caller.finishCall,
  };

  if (beginning !== undefined) {
    const { view } = context;
    asker.askAhead({ ...view, items: [...view.items, beginning.said] });
  }
  return state;
}
