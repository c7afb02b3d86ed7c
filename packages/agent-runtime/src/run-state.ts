import { setMaxListeners } from 'node:events';
import {
  addUsage,
  CodelabError,
  type CompletionChunk,
  type CompletionMessage,
  type Item,
  type ItemKind,
  type NewSessionEvent,
  newId,
  noUsage,
  type Run,
  toWireError,
  type WireError,
} from '@codelab/protocol';
import { compact, hasRoom } from './compaction.ts';
import { estimateTokens, toMessages } from './context.ts';
import { createDeferred } from './deferred.ts';
import type { RunSession, SessionDeps } from './live-session.ts';
import { type ModelStep, readModelStep } from './model-step.ts';
import { changesOf } from './patch.ts';
import { type RunEnd, runLoop } from './run-loop.ts';
import type { StoredInput, StoredItem, StoredRun } from './store/store.ts';
import type { Write } from './store/writer.ts';
import { type CallEnd, type Decided, type OpenCall, prepareCall, rejection, shorten } from './tool-calls.ts';
import type { ServerToolResult } from './tools/server-tool.ts';
import { toCompletionTools } from './tools/toolbox.ts';

/** A step or a result waits so long for a database that is gone. */
const STORE_MS = 30_000;
/** The end of a run is shown after so long, whether or not it could be stored yet; it still will be. */
const END_SHOWN_MS = 4_000;
const END_STORED_MS = 24 * 3_600_000;
/** A client's tool that reports progress may take so long in all. */
const LONGEST_CALL_MS = 3_600_000;

/** One run at work. */
export interface RunState {
  readonly run: Run;
  /** Whether nothing goes on until a person decides. */
  readonly isWaiting: boolean;
  readonly calls: Map<string, OpenCall>;
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
  /** Stores and shows what a call came to. False where it had ended already. */
  finishCall(call: OpenCall, end: CallEnd, effects?: Omit<ServerToolResult, 'result'>): Promise<boolean>;
}

export interface RunStateOptions {
  session: RunSession;
  deps: SessionDeps;
  input: StoredInput;
  resumed?: StoredRun & { isGivenUp: boolean };
}

export async function createRunState({ session, deps, input, resumed }: RunStateOptions): Promise<RunState> {
  const { store, llm, agents, toolbox, settings, lifecycle } = deps;
  const { writes } = store;
  const { sessionId } = session;
  const { requestId } = input;
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  let ending: 'cancelled' | 'suspended' | undefined;
  const calls = new Map<string, OpenCall>();
  const done = createDeferred<void>();

  /** The one that comes with the input, until the switch to it is stored. */
  let coming = resumed === undefined ? input.agent : undefined;
  const agentNow = () => agents.find(coming ?? session.session.agent);
  const modelOf = () => {
    const own = input.input.model ?? session.session.model;
    return own === 'default' ? (agentNow().model ?? settings.model) : own;
  };
  const run: Run = resumed?.run ?? {
    runId: newId('run'),
    sessionId,
    inputId: input.input.inputId,
    agent: agentNow().name,
    model: modelOf(),
    status: 'running',
    steps: 0,
    usage: noUsage,
    startedAt: new Date(),
  };
  const { runId } = run;
  const log = deps.log.child({ requestId, sessionId, runId });

  const runWrite = () =>
    writes.run({
      run,
      resumes: resumed?.resumes ?? 0,
      isCancelled: ending === 'cancelled' && run.status === 'running',
    });

  const newItem = (kind: ItemKind, fields: Partial<Item> = {}): StoredItem => ({
    position: session.nextPosition(),
    item: {
      itemId: newId('item'),
      runId,
      step: 0,
      kind,
      text: '',
      status: 'completed',
      createdAt: new Date(),
      ...fields,
    },
  });
  const showItem = ({ item }: StoredItem) => {
    session.emit({ type: 'item.started', item: { ...item, text: '', status: 'in_progress' } });
    session.emit({ type: 'item.completed', item: { ...item } });
  };

  let view = await session.view();
  const beginning = resumed === undefined ? deliver(input, true) : undefined;
  /** The answer to the first step, asked for while the input is being stored. */
  let asked: AsyncGenerator<CompletionChunk, void, undefined> | undefined;
  let withoutTools = false;
  let compactions = 0;

  /** An input as part of this run. */
  function deliver(stored: StoredInput, isFirst: boolean) {
    const { attachments, agent } = stored;
    const delivered: StoredInput = { ...stored, input: { ...stored.input, status: 'delivered', runId } };
    const { inputId, content, attachments: files } = delivered.input;
    const change =
      agent === undefined || agent === session.session.agent
        ? undefined
        : session.switchWrites(agents.find(agent).name, 'The person chose it.', 'user', runId);
    const said = newItem('user_message', {
      text: content,
      inputId,
      ...(files === undefined ? {} : { attachments: files }),
    });
    session.keepAttachments(inputId, attachments);
    return {
      said,
      writes: [writes.input(delivered), writes.item(sessionId, said), ...(change?.writes ?? [])],
      show() {
        if (isFirst) session.stateChanged();
        session.emit({ type: 'input.delivered', inputId, runId });
        if (isFirst) session.emit({ type: 'run.started', runId, inputId, agent: run.agent, model: run.model });
        change?.show();
        view.items.push(said);
        showItem(said);
      },
    };
  }

  /** What instructions and tools take of the window, in estimated tokens. */
  let overhead = 0;
  const instructions = () => {
    const agent = agentNow();
    const system: CompletionMessage[] = agent.prompt === '' ? [] : [{ role: 'system', content: agent.prompt }];
    const tools = withoutTools ? [] : toCompletionTools(toolbox.toolsOf(session.stored.tools, agent).values());
    overhead = estimateTokens(system) + Math.ceil(JSON.stringify(tools).length / 4);
    return { system, tools };
  };
  /** What is left of the window for what was said. */
  const windowNow = () =>
    Math.max(settings.contextWindow / session.tokensPerEstimate - overhead, settings.contextWindow / 4);

  const ask = (current = view): AsyncGenerator<CompletionChunk, void, undefined> => {
    const { system, tools } = instructions();
    const messages = [...system, ...toMessages(current, session.attachments)];
    return llm.stream(
      { model: modelOf(), messages, ...(tools.length > 0 ? { tools } : {}) },
      { signal: abort.signal, requestId },
    );
  };

  /** Makes the view smaller where it fills the window. */
  const makeRoom = async (isForced: boolean): Promise<boolean> => {
    const tokensBefore = estimateTokens(toMessages(view, session.attachments));
    const smaller = await compact({
      view: view,
      attachments: session.attachments,
      window: windowNow(),
      isForced,
      summarize,
    });
    if (smaller === undefined || abort.signal.aborted) return false;
    const { items, summary, ...rest } = smaller;
    const stored = newItem('compaction', {
      text: summary === view.summary ? '' : (summary ?? ''),
      compaction: { tokensBefore, tokensAfter: estimateTokens(toMessages(smaller, session.attachments)) },
    });
    stored.hidden = { view: { ...rest, ...(summary === undefined ? {} : { summary }) } };
    await store.commit([writes.item(sessionId, stored)], { deadlineMs: STORE_MS });
    view = smaller;
    session.replaceView(smaller);
    showItem(stored);
    log.info({ tokensBefore, tokensAfter: stored.item.compaction?.tokensAfter }, 'the context was compacted');
    return true;
  };

  const summarize = async (messages: CompletionMessage[]): Promise<string | undefined> => {
    let text = '';
    let isWhole = false;
    const model = modelOf();
    for await (const chunk of llm.stream({ model, messages }, { signal: abort.signal, requestId })) {
      if (chunk.type === 'text') text += chunk.text;
      if (chunk.type === 'finish') isWhole = true;
      if (chunk.type === 'error') log.warn({ error: chunk.error }, 'the conversation could not be summarised');
      if (chunk.type !== 'usage') continue;
      addToRun(chunk.usage, chunk.costUsd);
      const { usage, costUsd } = chunk;
      await store
        .commit([writes.step({ runId, step: -++compactions, sessionId, model, usage, costUsd })])
        .catch((err) => log.warn({ err }, 'the usage of a summary could not be stored'));
    }
    return isWhole && text.trim() !== '' ? text.trim() : undefined;
  };

  const addToRun = (usage: Run['usage'], costUsd: number | undefined) => {
    run.usage = addUsage(run.usage, usage);
    if (costUsd !== undefined) run.costUsd = (run.costUsd ?? 0) + costUsd;
  };

  const readStep = async (chunks: AsyncIterable<CompletionChunk>, model: string): Promise<ModelStep> => {
    const asWhole = estimateTokens(toMessages(view, session.attachments)) + overhead;
    const step = await readModelStep({
      runId,
      step: run.steps + 1,
      model,
      chunks,
      nextPosition: session.nextPosition,
      emit: session.emit,
      onOpen: session.opened,
      onClosed: (stored) => {
        if (stored.item.kind !== 'tool_call' || stored.item.status === 'incomplete') session.closed(stored);
      },
    });
    const { inputTokens } = step.usage;
    if (inputTokens > 1_000) session.tokensPerEstimate = Math.min(Math.max(inputTokens / asWhole, 0.5), 3);
    return step;
  };

  const askModel = async (): Promise<ModelStep> => {
    const model = modelOf();
    session.emit({ type: 'step.started', runId, model });
    let chunks = asked;
    asked = undefined;
    if (chunks === undefined) {
      instructions();
      await makeRoom(false);
      chunks = ask();
    }
    let step = await readStep(chunks, model);
    if (step.error?.code === 'CONTEXT_WINDOW_EXCEEDED' && step.items.length === 0 && (await makeRoom(true)))
      step = await readStep(ask(), model);
    if (refusesTools(step) && !withoutTools) {
      withoutTools = true;
      step = await readStep(ask(), model);
    }
    unstored = step;
    return step;
  };

  /** The step that is not stored yet. */
  let unstored: ModelStep | undefined;
  const counted = new WeakSet<ModelStep>();
  const stepWrites = (step: ModelStep): Write[] => {
    if (!counted.has(step)) {
      counted.add(step);
      run.steps++;
      addToRun(step.usage, step.costUsd);
    }
    const { model, usage, costUsd } = step;
    return [
      writes.step({ runId, step: run.steps, sessionId, model, usage, costUsd }),
      ...step.items.map((stored) => writes.item(sessionId, stored)),
    ];
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

  const prepare = async (items: StoredItem[]): Promise<OpenCall[]> => {
    const agent = agents.find(session.session.agent);
    const tools = toolbox.toolsOf(session.stored.tools, agent);
    const rules = [...agent.rules, ...(await store.rules(sessionId, session.session.project))];
    return items
      .filter(({ item }) => item.kind === 'tool_call')
      .map((stored) =>
        prepareCall(stored, { runId, agent, tools, toolbox, rules, approvalTimeoutMs: settings.approvalTimeoutMs }),
      );
  };

  const keepStep = async (step: ModelStep, refusal: string | undefined): Promise<OpenCall[]> => {
    const prepared = await prepare(step.items);
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
      { deadlineMs: STORE_MS },
    );
    unstored = undefined;
    view.items.push(...step.items);
    showStep(step);
    for (const call of prepared) calls.set(call.callId, call);
    for (const { approval } of prepared)
      if (approval !== undefined) session.emit({ type: 'approval.requested', approval: approval.approval });
    return prepared;
  };

  /** The calls of a step that is stored already, with what was decided on them. */
  const takeUp = async (): Promise<OpenCall[]> => {
    const found = view.items.filter(
      ({ item }) => item.runId === runId && item.kind === 'tool_call' && item.status === 'in_progress',
    );
    const prepared = await prepare(found);
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
    return prepared;
  };

  const finishCall: RunState['finishCall'] = async (call, end, effects = {}) => {
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
    if (effects.plan !== undefined) more.push(newItem('plan', { plan: effects.plan }));
    const changes = end.outcome === 'succeeded' ? changesMadeBy(call) : undefined;
    if (changes !== undefined) more.push(newItem('file_change', { fileChange: { callId: call.callId, changes } }));
    const change =
      effects.switchTo === undefined || effects.switchTo.agent === session.session.agent
        ? undefined
        : session.switchWrites(effects.switchTo.agent, effects.switchTo.reason, 'model', runId);
    const { hidden } = call.stored;
    try {
      await store.commit(
        [
          writes.item(sessionId, { position: call.stored.position, item: finished, ...(hidden ? { hidden } : {}) }),
          ...(isWhole ? [] : [writes.result(sessionId, call.callId, end.text)]),
          ...more.map((stored) => writes.item(sessionId, stored)),
          ...(change?.writes ?? []),
        ],
        // Whoever sends a result may send it again; what ran here is not run again.
        call.tool?.target === 'client' ? {} : { deadlineMs: STORE_MS },
      );
    } catch (error) {
      call.isFinished = false;
      throw error;
    }
    call.stored.item = finished;
    session.closed(call.stored);
    calls.delete(call.callId);
    session.emit({ type: 'tool.finished', callId: call.callId, outcome: end.outcome });
    session.emit({ type: 'item.completed', item: { ...finished } });
    for (const stored of more) showItem(stored);
    change?.show();
    call.finished.resolve();
    return true;
  };

  /** Resolves when the call may be made, or has ended. */
  const permitted = async (call: OpenCall): Promise<void> => {
    const { approval } = call;
    if (approval === undefined || !approval.isPending) return;
    session.stateChanged();
    if (lifecycle.draining.aborted) state.suspend();
    const timer = setTimeout(
      () => void expire(call).catch((err) => log.error({ err }, 'an approval could not be ended')),
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

  const expire = async (call: OpenCall): Promise<void> => {
    const { approval } = call;
    if (approval === undefined || !approval.isPending) return;
    approval.isPending = false;
    const decided: Decided = { decision: 'timed_out' };
    await store.commit(
      [
        writes.approval({
          sessionId,
          approval: approval.approval,
          pending: false,
          decidedWith: JSON.stringify(decided),
        }),
      ],
      { deadlineMs: STORE_MS },
    );
    session.emit({ type: 'approval.resolved', callId: call.callId, decision: 'timed_out', by: 'service' });
    approval.decided.resolve(decided);
    session.stateChanged();
  };

  /** Resolves when the run is stopped. */
  const aborted = new Promise<undefined>((resolve) => {
    abort.signal.addEventListener('abort', () => resolve(undefined));
  });

  const makeCall = async (call: OpenCall): Promise<void> => {
    if (abort.signal.aborted || call.isFinished) return;
    const { tool, end } = call;
    if (end !== undefined || tool === undefined) {
      await finishCall(call, end ?? { outcome: 'failed', text: 'There is no such tool.' });
      return;
    }
    const timeoutMs = tool.timeoutMs ?? settings.toolTimeoutMs;
    const request = (): NonNullable<OpenCall['request']> => ({
      type: 'tool.requested',
      runId,
      callId: call.callId,
      name: call.name,
      arguments: call.args,
      target: tool.target,
      ...(tool.target === 'client' ? { clientId: tool.clientId } : {}),
      deadline: Date.now() + timeoutMs,
    });
    if (tool.target === 'client') {
      call.request = request();
      session.emit(call.request);
      await clientAnswer(call, timeoutMs);
      return;
    }
    if (tool.target === 'mcp' && tool.kind !== 'read') {
      call.stored.hidden = { ...call.stored.hidden, isStarted: true };
      await store.commit([writes.item(sessionId, call.stored)], { deadlineMs: STORE_MS });
    }
    session.emit(request());
    const ran = await within(timeoutMs, Promise.race([ranHere(call, timeoutMs), aborted]));
    if (abort.signal.aborted) return;
    await finishCall(call, ran?.end ?? lateEnd(timeoutMs), ran?.effects);
  };

  interface Ran {
    end: CallEnd;
    effects?: Omit<ServerToolResult, 'result'>;
  }

  const ranHere = async ({ tool, args }: OpenCall, timeoutMs: number): Promise<Ran> => {
    try {
      if (tool?.target === 'mcp') {
        const text = await tool.call(args, { signal: abort.signal, timeoutMs });
        return { end: { outcome: 'succeeded', text } };
      }
      if (tool?.target !== 'server') throw new Error('It runs elsewhere.');
      const { result, ...effects } = await tool.execute(args, { sessionId, signal: abort.signal });
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

  const finish = async ({ status, step, error, notice }: RunEnd): Promise<void> => {
    // A result that is being stored comes before the end.
    const storing = [...calls.values()].filter(({ isFinished }) => isFinished).map((call) => call.finished.promise);
    await within(END_SHOWN_MS, Promise.all(storing));
    const changes: Write[] = [];
    const shows: Array<() => void> = [];
    if (step !== undefined) {
      for (const stored of step.items) {
        if (stored.item.kind !== 'tool_call' || stored.item.status !== 'in_progress') continue;
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
        changes.push(writes.approval({ sessionId, approval: approval.approval, pending: false, decidedWith }));
        shows.unshift(() =>
          session.emit({ type: 'approval.resolved', callId: call.callId, decision: 'cancelled', by: 'service' }),
        );
      }
      closeCall(call.stored, shows);
      changes.push(writes.item(sessionId, call.stored));
    }
    const noticed = notice === undefined ? undefined : newItem('notice', { text: notice });
    if (noticed !== undefined) changes.push(writes.item(sessionId, noticed));
    run.status = status;
    run.finishedAt = new Date();
    if (error !== undefined) run.error = error;
    changes.push(runWrite());
    const stored = store.commit(changes, { deadlineMs: END_STORED_MS });
    stored.catch((err) => log.error({ err }, 'the end of the run could not be stored: it goes on after a restart'));
    await within(
      END_SHOWN_MS,
      stored.catch(() => {}),
    );
    if (step !== undefined) view.items.push(...step.items);
    for (const show of shows) show();
    if (step !== undefined) showStep(step);
    if (noticed !== undefined) showItem(noticed);
    session.emit({
      type: 'run.finished',
      runId,
      status,
      usage: run.usage,
      ...(run.costUsd === undefined ? {} : { costUsd: run.costUsd }),
      ...(error === undefined ? {} : { error }),
    });
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
      session.closed(stored);
      session.emit({ type: 'tool.finished', callId: toolCall.callId, outcome: 'cancelled' });
      session.emit({ type: 'item.completed', item: { ...stored.item } });
    });
  };

  const work = async (): Promise<void> => {
    const release = lifecycle.begin();
    const onDrain = () => {
      if (state.isWaiting) state.suspend();
    };
    lifecycle.draining.addEventListener('abort', onDrain);
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
    lifecycle.draining.removeEventListener('abort', onDrain);
    release();
    done.resolve();
  };

  const end = async ({ error, ...how }: RunEnd): Promise<void> => {
    if (ending === 'suspended') return session.runSuspended();
    // A stop wins over what it broke.
    if (ending === 'cancelled' && how.status !== 'completed') await finish({ ...how, status: 'cancelled' });
    else await finish(error === undefined ? how : { ...how, error });
    await session.runEnded();
  };

  const asWireError = (thrown: unknown): WireError =>
    toWireError(thrown instanceof CodelabError ? thrown : new CodelabError('INTERNAL'), requestId);

  const loop = async (): Promise<RunEnd> => {
    if (resumed?.isCancelled === true) {
      ending = 'cancelled';
      abort.abort();
      await takeUp();
      return { status: 'cancelled' };
    }
    if (resumed?.isGivenUp === true) {
      await takeUp();
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
          await session.takeSteers(async (inputs) => {
            const delivered = inputs.map((stored) => deliver(stored, false));
            await store.commit(
              delivered.flatMap((each) => each.writes),
              { deadlineMs: STORE_MS },
            );
            for (const { show } of delivered) show();
          });
        },
        hasSteers: session.hasSteers,
        askModel,
        keepStep,
        makeCalls,
      },
      resumed === undefined ? [] : await takeUp(),
    );
  };

  const state: RunState = {
    run,
    calls,
    done: done.promise,
    get isWaiting() {
      return [...calls.values()].some(({ approval }) => approval?.isPending === true);
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
      log.info({ agent: run.agent, model: run.model }, resumed === undefined ? 'run started' : 'run resumed');
      void work();
    },
    abandon() {
      ending = 'suspended';
      abort.abort();
      asked?.return().catch(() => {});
      done.resolve();
    },
    async cancel() {
      ending ??= 'cancelled';
      abort.abort();
      // The end is stored too, but whoever is told that it comes may be told before.
      await store.commit([runWrite()]).catch((err) => log.warn({ err }, 'the cancellation could not be stored yet'));
    },
    suspend() {
      ending = 'suspended';
      abort.abort();
    },
    finishCall,
  };

  if (beginning !== undefined) {
    instructions();
    const current = { ...view, items: [...view.items, beginning.said] };
    if (hasRoom({ view: current, attachments: session.attachments, window: windowNow() })) asked = ask(current);
  }
  return state;

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
}

/** What `promise` resolves to, or undefined after `ms`. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function lateEnd(timeoutMs: number): CallEnd {
  return {
    outcome: 'timed_out',
    text: `The tool did not answer within ${Math.round(timeoutMs / 100) / 10} s. It may still be running.`,
  };
}

/** Small local models often take no tools, and say so. */
function refusesTools({ error, items }: ModelStep): boolean {
  return (
    error !== undefined &&
    items.length === 0 &&
    error.code === 'VALIDATION' &&
    /not support.{0,20}(tools|function)/i.test(error.message)
  );
}
