import { createHash } from 'node:crypto';
import {
  type Approval,
  type ApprovalDecide,
  type ApprovalOutcome,
  type Attachment,
  CodelabError,
  type FileChange,
  type Input,
  type InputSend,
  type InputSent,
  type Item,
  type ItemPage,
  itemBytes,
  type NewSessionEvent,
  newId,
  type RememberedRule,
  type RuleAdd,
  type Session,
  type SessionState,
  type SessionUpdate,
  type ToolAnnounce,
  type ToolProgress,
  type ToolResult,
} from '@codelab/protocol';
import type { Lifecycle, Logger } from '@codelab/service-kit';
import type { Agents } from './agents.ts';
import type { View } from './context.ts';
import { createEventLog, type EventLog, type LogBudget } from './event-log.ts';
import type { Llm } from './llm.ts';
import { createMutex } from './mutex.ts';
import { withoutHunks } from './patch.ts';
import { judge } from './rules.ts';
import { createRunState, type RunState } from './run-state.ts';
import type { Store, StoredInput, StoredItem, StoredSession } from './store/store.ts';
import type { Write } from './store/writer.ts';
import { type OpenCall, shorten, toAct, toText } from './tool-calls.ts';
import type { Toolbox } from './tools/toolbox.ts';

const SNAPSHOT_ITEMS = 200;
const MAX_RECENT = 100;
/** The model's view is loaded back to its last summary, or this far. */
const VIEW_PAGE_ITEMS = 500;
const VIEW_BYTES = 4 * 1024 * 1024;
/** A run that was found unfinished so often brings the process down: it is not tried again. */
const MAX_RESUMES = 5;

export interface SessionSettings {
  model: string;
  maxSteps: number;
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
  approvals(): Approval[];
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
  switchWrites(to: string, reason: string, by: 'user' | 'model', runId: string): { writes: Write[]; show(): void };
  runEnded(): Promise<void>;
  /** The run stays in the store as it is, for the next process: nothing more happens here. */
  runSuspended(): void;
}

export async function createLiveSession(found: StoredSession, deps: SessionDeps): Promise<LiveSession> {
  const { store, agents, toolbox, log } = deps;
  const { writes } = store;
  const { sessionId } = found.session;
  const mutex = createMutex();
  const queue: StoredInput[] = [];
  /** Items that are being written, tool calls without a result among them. */
  const open = new Map<string, StoredItem>();
  const attachments = new Map<string, Attachment[]>();
  let lastPosition = await store.lastPosition(sessionId);
  let lastInput = 0;
  let view: View | undefined;
  let active: RunState | undefined;
  let shownState = '';
  let isDeleted = false;
  /** Readers that came before the input whose answer they want. */
  const awaited = new Set<{ inputId: string; accepted: (cursor: string) => void }>();
  /** The cursors of the newest inputs, for those who ask for their answer. */
  const recent = new Map<string, string>();
  /** A write failed that may have been made all the same: the store knows better what is to be done. */
  let isUnsure = false;

  const stateOf = (): SessionState =>
    active === undefined
      ? { state: 'idle', queued: queue.length }
      : { state: active.isWaiting ? 'waiting' : 'running', runId: active.run.runId, queued: queue.length };

  const eventLog = createEventLog({
    budget: deps.budget,
    beginsLate: lastPosition > 0,
    state: stateOf,
    async snapshot(): Promise<ItemPage> {
      const before = [...open.values()].map(({ position, item }) => ({ position, item: { ...item } }));
      const { items, more } = await store.items(sessionId, { limit: SNAPSHOT_ITEMS });
      const stored = new Set(items.filter(({ item }) => item.status !== 'in_progress').map(({ position }) => position));
      const opened = before.filter(({ position }) => !stored.has(position));
      const positions = new Set(opened.map(({ position }) => position));
      const all = [...items.filter(({ position }) => !positions.has(position)), ...opened].sort(
        (a, b) => a.position - b.position,
      );
      return {
        items: all.map(({ item }) => item),
        ...(more && items[0] !== undefined ? { nextCursor: toCursor(items[0].position) } : {}),
      };
    },
    openItems: () => [...open.values()].sort((a, b) => a.position - b.position).map(({ item }) => ({ ...item })),
    openRequests: () => active?.openRequests() ?? [],
  });

  const self: RunSession = {
    sessionId,
    stored: found,
    get session() {
      return self.stored.session;
    },
    set session(session) {
      self.stored = { ...self.stored, session };
    },
    emit: (event) => eventLog.append(event),
    nextPosition: () => ++lastPosition,
    tokensPerEstimate: 1,
    async view() {
      view ??= await loadView();
      return view;
    },
    replaceView(next) {
      view = next;
    },
    attachments: (inputId) => attachments.get(inputId),
    keepAttachments(inputId, files) {
      if (files !== undefined && files.length > 0) attachments.set(inputId, files);
    },
    opened: (stored) => void open.set(stored.item.itemId, stored),
    closed: (stored) => void open.delete(stored.item.itemId),
    stateChanged() {
      const state = stateOf();
      const shown = JSON.stringify(state);
      if (shown === shownState) return;
      shownState = shown;
      eventLog.append({ type: 'session.state', ...state });
    },
    hasSteers: () => queue.some(({ whenBusy }) => whenBusy === 'steer'),
    takeSteers: (deliver) =>
      mutex(async () => {
        const steers = queue.filter(({ whenBusy }) => whenBusy === 'steer');
        if (steers.length === 0) return false;
        await deliver(steers);
        for (const steer of steers) queue.splice(queue.indexOf(steer), 1);
        self.stateChanged();
        return true;
      }),
    switchWrites(to, reason, by, runId) {
      const from = self.session.agent;
      const item: Item = {
        itemId: newId('item'),
        runId,
        step: 0,
        kind: 'agent_switch',
        text: '',
        status: 'completed',
        createdAt: new Date(),
        agentSwitch: { from, to, reason, by },
      };
      const stored: StoredItem = { position: self.nextPosition(), item };
      const session = { ...self.session, agent: to, updatedAt: new Date() };
      return {
        writes: [writes.item(sessionId, stored), writes.session({ ...self.stored, session })],
        show() {
          self.session = session;
          view?.items.push(stored);
          eventLog.append({ type: 'agent.switched', from, to, reason });
          eventLog.append({ type: 'item.started', item: { ...item, status: 'in_progress' } });
          eventLog.append({ type: 'item.completed', item });
          eventLog.append({ type: 'session.updated', session });
        },
      };
    },
    runSuspended: () => eventLog.close(),
    runEnded: () =>
      mutex(async () => {
        active = undefined;
        open.clear();
        await startNext();
      }),
  };

  async function loadView(): Promise<View> {
    const { upTo = 0, trimmedUpTo = 0, summary } = (await store.lastCompaction(sessionId))?.hidden?.view ?? {};
    const items: StoredItem[] = [];
    let bytes = VIEW_BYTES;
    let before: number | undefined;
    for (;;) {
      const page = await store.items(sessionId, {
        limit: VIEW_PAGE_ITEMS,
        bytes,
        ...(before === undefined ? {} : { before }),
      });
      const wanted = page.items.filter(({ position }) => position > upTo);
      items.unshift(...wanted);
      before = page.items[0]?.position;
      bytes -= wanted.reduce((sum, { item }) => sum + itemBytes(item), 0);
      if (!page.more || wanted.length < page.items.length || bytes <= 0) break;
    }
    // It begins with a person's message or a summary: providers take no answer without a question.
    const first = summary === undefined ? items.findIndex(({ item }) => item.kind === 'user_message') : 0;
    const loaded = items.slice(Math.max(0, first));
    for (const { item } of loaded)
      if (item.attachments !== undefined && item.inputId !== undefined)
        self.keepAttachments(item.inputId, (await store.input(sessionId, item.inputId))?.attachments);
    return { summary, upTo, trimmedUpTo, items: loaded };
  }

  /** Under the mutex: the next input of the queue becomes a run, if none is active. */
  async function startNext(): Promise<void> {
    if (active === undefined && !isDeleted && !deps.lifecycle.draining.aborted) {
      const next = queue.shift();
      if (next !== undefined) {
        const run = await beginRun(next);
        try {
          await run.store([], 60_000);
        } catch (error) {
          run.abandon();
          active = undefined;
          isUnsure = true;
          queue.unshift(next);
          log.error({ err: error, sessionId }, 'the next run could not be stored: it waits for the next input');
          self.stateChanged();
          return;
        }
        run.go();
        return;
      }
    }
    self.stateChanged();
  }

  /** Under the mutex: what the store has that is not at work here, the unfinished run first. */
  async function takeUp(): Promise<void> {
    isUnsure = false;
    queue.splice(0, queue.length, ...(await store.queuedInputs(sessionId)));
    const unfinished = active === undefined ? await store.runningRun(sessionId) : undefined;
    if (unfinished === undefined) return queue.length > 0 ? startNext() : undefined;
    const input = await store.input(sessionId, unfinished.run.inputId);
    if (input === undefined) throw new Error(`the run ${unfinished.run.runId} has no input`);
    const resumes = unfinished.resumes + 1;
    log.info({ sessionId, runId: unfinished.run.runId, resumes }, 'an unfinished run goes on');
    const run = await createRunState({
      session: self,
      deps,
      input,
      resumed: {
        ...unfinished,
        resumes,
        isCancelled: unfinished.isCancelled || queue.some(({ whenBusy }) => whenBusy === 'interrupt'),
        isGivenUp: resumes > MAX_RESUMES,
      },
    });
    await run.store([], 60_000);
    active = run;
    run.go();
  }

  /** The model is asked at once, while the input is written. */
  async function beginRun(input: StoredInput): Promise<RunState> {
    const run = await createRunState({ session: self, deps, input });
    active = run;
    return run;
  }

  /** In order of arrival; one that interrupts comes before all that wait. */
  const nextInput = (isFirst: boolean): number => {
    lastInput = Math.max(lastInput + 1, Date.now() * 1000);
    return isFirst ? -lastInput : lastInput;
  };

  const cancelQueued = async (inputs: StoredInput[]): Promise<void> => {
    if (inputs.length === 0) return;
    const cancelled = inputs.map(
      (stored): StoredInput => ({ ...stored, input: { ...stored.input, status: 'cancelled' } }),
    );
    await store.commit(cancelled.map((stored) => writes.input(stored)));
    for (const stored of inputs) {
      const index = queue.indexOf(stored);
      if (index >= 0) queue.splice(index, 1);
      eventLog.append({ type: 'input.cancelled', inputId: stored.input.inputId });
    }
  };

  const resolveApproval = async (
    call: OpenCall,
    decision: { decision: ApprovalOutcome; feedback?: string; args?: Record<string, unknown>; by: string },
    decidedWith: string,
    more: Write[] = [],
  ): Promise<void> => {
    const { approval } = call;
    if (approval === undefined) return;
    const { item } = call.stored;
    const toolCall = { ...(item.toolCall as NonNullable<Item['toolCall']>), arguments: decision.args ?? call.args };
    approval.isPending = false;
    try {
      await store.commit([
        writes.approval({ sessionId, approval: approval.approval, pending: false, decidedWith }),
        writes.item(sessionId, { ...call.stored, item: { ...item, toolCall } }),
        ...more,
      ]);
    } catch (error) {
      approval.isPending = true;
      throw error;
    }
    item.toolCall = toolCall;
    call.args = toolCall.arguments;
    eventLog.append({
      type: 'approval.resolved',
      callId: call.callId,
      decision: decision.decision,
      by: decision.by,
    });
    self.stateChanged();
    approval.decided.resolve({
      decision: decision.decision,
      ...(decision.feedback === undefined ? {} : { feedback: decision.feedback }),
    });
  };

  /** Those that a new rule allows need nobody any more. */
  const applyRules = async (): Promise<void> => {
    const rules = [...agents.find(self.session.agent).rules, ...(await store.rules(sessionId, self.session.project))];
    for (const call of active?.calls.values() ?? []) {
      if (call.approval?.isPending !== true || call.tool === undefined) continue;
      const act = toAct(call.tool, call.args);
      if (typeof act === 'string' || judge(act, rules).effect !== 'allow') continue;
      await resolveApproval(call, { decision: 'allow', by: 'rule' }, JSON.stringify({ decision: 'allow' }));
    }
  };

  const live: LiveSession = {
    get session() {
      return self.session;
    },
    log: eventLog,
    get isIdle() {
      return active === undefined && queue.length === 0;
    },

    update: ({ title, model, metadata }) =>
      mutex(async () => {
        const session: Session = {
          ...self.session,
          title: title ?? self.session.title,
          model: model ?? self.session.model,
          metadata: metadata ?? self.session.metadata,
          updatedAt: new Date(),
        };
        await store.commit([writes.session({ ...self.stored, session })]);
        self.session = session;
        eventLog.append({ type: 'session.updated', session });
        return session;
      }),

    announce: ({ clientId, tools }) =>
      mutex(async () => {
        toolbox.check(tools);
        const names = new Set(tools.map(({ name }) => name));
        const others = self.stored.tools.filter((tool) => tool.clientId !== clientId && !names.has(tool.name));
        const announced = [...others, ...tools.map((tool) => ({ ...tool, clientId }))];
        if (JSON.stringify(announced) !== JSON.stringify(self.stored.tools)) {
          const stored = { ...self.stored, tools: announced };
          await store.commit([writes.session(stored)]);
          self.stored = stored;
        }
        // What waits for a client that has gone is offered to the one that came.
        active?.offerAgain(clientId, names);
        return { tools: tools.length };
      }),

    tools: () => toolbox.list(self.stored.tools),

    switchAgent: (name, reason) =>
      mutex(async () => {
        const { name: to } = agents.get(name);
        const from = self.session.agent;
        if (to !== from) {
          const change = self.switchWrites(to, reason, 'user', active?.run.runId ?? '');
          await store.commit(change.writes);
          change.show();
        }
        return { from, to };
      }),

    send: (message, requestId) =>
      mutex(async () => {
        const { inputId, content, model, agent, attachments: files, whenBusy } = message;
        if (isUnsure) await takeUp();
        const sentWith = hash([content, model, agent, files]);
        const before = await store.input(sessionId, inputId);
        if (before !== undefined) {
          if (before.sentWith !== sentWith)
            throw new CodelabError(
              'IDEMPOTENCY_MISMATCH',
              `The input "${inputId}" was sent before, with another content.`,
            );
          const { status, runId } = before.input;
          return {
            inputId,
            status,
            replayed: true,
            eventId: before.eventId,
            ...(runId === undefined ? {} : { runId }),
          };
        }
        if (agent !== undefined) agents.get(agent);
        const isBusy = active !== undefined;
        if (isBusy && whenBusy === 'reject') throw new CodelabError('SESSION_BUSY', undefined, { retryAfterMs: 1000 });

        const eventId = eventLog.cursor();
        const stored: StoredInput = {
          input: {
            inputId,
            sessionId,
            content,
            ...(files === undefined || files.length === 0 ? {} : { attachments: files.map(toAttachmentInfo) }),
            ...(model === undefined ? {} : { model }),
            status: 'queued',
            createdAt: new Date(),
          },
          // What interrupts goes before what waits.
          position: nextInput(whenBusy === 'interrupt'),
          whenBusy,
          ...(agent === undefined ? {} : { agent }),
          ...(files === undefined || files.length === 0 ? {} : { attachments: files }),
          sentWith,
          requestId,
          eventId,
        };
        const accepted = () => {
          eventLog.append({ type: 'input.accepted', input: { ...stored.input } });
          recent.set(inputId, eventId);
          if (recent.size > MAX_RECENT) recent.delete(recent.keys().next().value as string);
          for (const waiter of awaited) if (waiter.inputId === inputId) waiter.accepted(eventId);
        };

        if (!isBusy && queue.length === 0) {
          const run = await beginRun(stored);
          try {
            await run.store();
          } catch (error) {
            run.abandon();
            active = undefined;
            isUnsure = true;
            view = undefined;
            throw error;
          }
          accepted();
          run.go();
          return { inputId, status: 'delivered', replayed: false, eventId, runId: run.run.runId };
        }
        try {
          await store.commit([writes.input(stored)]);
        } catch (error) {
          isUnsure = true;
          throw error;
        }
        accepted();
        if (whenBusy === 'interrupt') queue.unshift(stored);
        else queue.push(stored);
        if (active === undefined) await startNext();
        else {
          self.stateChanged();
          if (whenBusy === 'interrupt') await active.cancel();
        }
        return { inputId, status: 'queued', replayed: false, eventId };
      }),

    async cursorOf(inputId, signal) {
      // What is being sent comes first.
      const known = await mutex(async () => recent.get(inputId) ?? (await store.input(sessionId, inputId))?.eventId);
      if (known !== undefined || signal.aborted) return known;
      return new Promise((resolve) => {
        const done = (cursor?: string) => {
          awaited.delete(waiter);
          signal.removeEventListener('abort', onAbort);
          resolve(cursor);
        };
        const onAbort = () => done();
        const waiter = { inputId, accepted: done };
        awaited.add(waiter);
        signal.addEventListener('abort', onAbort);
      });
    },

    cancelInput: (inputId) =>
      mutex(async () => {
        const waiting = queue.find(({ input }) => input.inputId === inputId);
        if (waiting !== undefined) {
          await cancelQueued([waiting]);
          self.stateChanged();
          return { status: 'cancelled' };
        }
        const input = (await store.input(sessionId, inputId))?.input;
        if (input === undefined)
          throw new CodelabError('NOT_FOUND', `There is no input "${inputId}" in the session "${sessionId}".`);
        if (input.status === 'delivered')
          throw new CodelabError('INPUT_ALREADY_DELIVERED', undefined, { details: { runId: input.runId } });
        return { status: 'cancelled' };
      }),

    async cancelRun(runId) {
      if (active !== undefined && (runId === undefined || runId === active.run.runId)) {
        await active.cancel();
        return { status: 'cancelling' };
      }
      if (runId !== undefined && (await store.run(sessionId, runId)) === undefined)
        throw new CodelabError('NOT_FOUND', `There is no run "${runId}" in the session "${sessionId}".`);
      return { status: 'already_finished' };
    },

    toolResult: ({ callId, result, error }) =>
      mutex(async () => {
        const end =
          error === undefined
            ? { outcome: 'succeeded' as const, text: toText(result) }
            : { outcome: 'failed' as const, text: error };
        const call = active?.calls.get(callId);
        if (call === undefined || call.isFinished) {
          const item = (await store.item(sessionId, callId))?.item;
          if (item?.toolCall === undefined)
            throw new CodelabError('NOT_FOUND', `There is no tool call "${callId}" in the session "${sessionId}".`);
          const { outcome, result: known } = item.toolCall;
          if (outcome === end.outcome && known === shorten(end.text, callId).shown)
            return { status: 'accepted', replayed: true };
          throw new CodelabError(
            'TOOL_CALL_FINISHED',
            `The tool call "${callId}" ended before: ${outcome ?? 'its run is over'}.`,
          );
        }
        if (call.tool?.target !== 'client')
          throw new CodelabError(
            'VALIDATION',
            `"${call.name}" does not run in the IDE: its result comes from elsewhere.`,
          );
        if (call.approval?.isPending === true)
          throw new CodelabError(
            'VALIDATION',
            `The call of "${call.name}" waits for a decision, and must not be made before.`,
          );
        await active?.finishCall(call, end);
        return { status: 'accepted', replayed: false };
      }),

    toolProgress({ callId, message, fraction }) {
      const call = active?.calls.get(callId);
      if (call === undefined || call.isFinished || call.tool?.target !== 'client')
        throw new CodelabError(
          'NOT_FOUND',
          `There is no open tool call "${callId}" of the IDE's in the session "${sessionId}".`,
        );
      call.extend?.();
      eventLog.append({ type: 'tool.progress', callId, message, ...(fraction === undefined ? {} : { fraction }) });
      return { status: 'accepted' };
    },

    decide: ({ callId, decision, scope, resource, arguments: edited, dropHunks, feedback, by }) =>
      mutex(async () => {
        const decidedWith = JSON.stringify({ decision, edited, dropHunks, feedback });
        const call = active?.calls.get(callId);
        if (call?.approval?.isPending !== true) {
          const known = await store.approval(sessionId, callId);
          if (known === undefined)
            throw new CodelabError(
              'NOT_FOUND',
              `No tool call "${callId}" of the session "${sessionId}" waits for a decision.`,
            );
          if (known.decidedWith === decidedWith) return { status: 'resolved', replayed: true };
          throw new CodelabError('APPROVAL_ALREADY_RESOLVED', undefined, {
            details: { decision: (JSON.parse(known.decidedWith ?? '{}') as { decision?: string }).decision },
          });
        }
        const { tool, approval } = call;
        if (tool === undefined || approval === undefined) throw new CodelabError('INTERNAL');
        let args = decision === 'edit' ? (edited as Record<string, unknown>) : undefined;
        let outcome: ApprovalOutcome = decision;
        if (decision === 'allow' && dropHunks !== undefined && dropHunks.length > 0) {
          const patch = call.args.patch;
          const changes = approval.approval.changes;
          if (typeof patch !== 'string' || changes === undefined)
            throw new CodelabError('VALIDATION', 'dropHunks is for patches, and this call has none.');
          const unknown = unknownHunks(changes, dropHunks);
          if (unknown.length > 0)
            throw new CodelabError('VALIDATION', `The patch has no hunk ${unknown.join(', ')}.`, {
              details: [{ path: 'dropHunks', message: 'names hunks that the patch does not have' }],
            });
          const rest = withoutHunks(patch, dropHunks);
          if (rest === undefined) outcome = 'reject';
          else args = { ...call.args, patch: rest };
        }
        if (args !== undefined) {
          const mistakes = toolbox.mistakesOf(tool, args);
          if (mistakes !== undefined)
            throw new CodelabError('VALIDATION', `The arguments do not fit the tool's schema: ${mistakes}`, {
              details: [{ path: 'arguments', message: mistakes }],
            });
          const act = toAct(tool, args);
          if (typeof act === 'string') throw new CodelabError('VALIDATION', act);
          const rules = [
            ...agents.find(self.session.agent).rules,
            ...(await store.rules(sessionId, self.session.project)),
          ];
          const verdict = judge(act, rules);
          if (verdict.effect === 'deny') throw new CodelabError('FORBIDDEN', verdict.reason);
        }
        const rule: RememberedRule | undefined =
          scope === 'once' || outcome === 'reject'
            ? undefined
            : toRule(self.session, {
                scope,
                tool: call.name,
                resource:
                  resource ?? approval.approval.options.find((option) => option.scope === scope)?.resource ?? '**',
                effect: 'allow',
              });
        await resolveApproval(
          call,
          {
            decision: outcome,
            by,
            ...(args === undefined ? {} : { args }),
            ...(feedback === undefined ? {} : { feedback }),
          },
          decidedWith,
          rule === undefined ? [] : [writes.rule(rule, sessionId, self.session.project)],
        );
        if (rule !== undefined) await applyRules();
        return { status: 'resolved', replayed: false };
      }),

    approvals: () =>
      [...(active?.calls.values() ?? [])].flatMap(({ approval }) =>
        approval?.isPending === true ? [approval.approval] : [],
      ),

    rules: () => store.rules(sessionId, self.session.project),

    addRule: (added) =>
      mutex(async () => {
        const rule = toRule(self.session, added);
        await store.commit([writes.rule(rule, sessionId, self.session.project)]);
        await applyRules();
        return rule;
      }),

    deleteRule: (ruleId) =>
      mutex(async () => {
        const rules = await store.rules(sessionId, self.session.project);
        if (!rules.some((rule) => rule.ruleId === ruleId)) return { deleted: false };
        await store.commit([writes.deleteRule(ruleId)]);
        return { deleted: true };
      }),

    async items({ before, limit }) {
      const opened = [...open.values()];
      const page = await store.items(sessionId, { limit, ...(before === undefined ? {} : { before }) });
      if (before !== undefined) return page;
      // What is being written has no place in the store yet, or an older text there.
      const stored = new Map(page.items.map((entry) => [entry.position, entry]));
      for (const { position, item } of opened)
        if (stored.get(position)?.item.status !== 'completed') stored.set(position, { position, item: { ...item } });
      const items = [...stored.values()].sort((a, b) => a.position - b.position);
      return { items: items.slice(-limit), more: page.more || items.length > limit };
    },

    resume: () => mutex(takeUp),

    async end() {
      isDeleted = true;
      await mutex(() => cancelQueued([...queue]));
      const run = active;
      await run?.cancel();
      await run?.done;
      await mutex(async () => {});
      eventLog.close();
    },

    async suspend() {
      const run = active;
      run?.suspend();
      await run?.done;
      eventLog.close();
    },
  };
  return live;
}

/** The same rule, remembered twice, is one. */
function toRule({ sessionId, project }: Session, rule: Omit<RuleAdd, 'sessionId'>): RememberedRule {
  const { tool, resource, effect, scope } = rule;
  const ruleId = `rule_${hash([scope === 'session' ? sessionId : project, tool, resource, effect, scope])}`;
  return { ruleId, tool, resource, effect, scope, createdAt: new Date() };
}

function unknownHunks(changes: FileChange[], hunks: number[]): number[] {
  const known = new Set(changes.flatMap((change) => change.hunks.map(({ hunk }) => hunk)));
  return hunks.filter((hunk) => !known.has(hunk));
}

function toAttachmentInfo({ name, mimeType, data, text }: Attachment): NonNullable<Input['attachments']>[number] {
  const bytes = data === undefined ? Buffer.byteLength(text ?? '') : Math.floor((data.length * 3) / 4);
  return { name, mimeType, bytes };
}

export function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url');
}

export function toCursor(index: number): string {
  return Buffer.from(`i${index}`).toString('base64url');
}

/** Throws `VALIDATION`. */
export function parseCursor(cursor: string): number {
  const [, digits] = /^i(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (digits === undefined)
    throw new CodelabError('VALIDATION', 'The cursor is not one of ours: pass a nextCursor as it came.');
  return Number(digits);
}
