import {
  type Attachment,
  CodelabError,
  type Input,
  type Item,
  newId,
  type Session,
  type SessionState,
} from '@codelab/protocol';
import { createDecisions } from './decide.ts';
import { createEventLog } from './event-log.ts';
import { hash } from './hash.ts';
import { createInputCursors } from './input-cursors.ts';
import { createMutex } from './mutex.ts';
import { createOpenItems } from './open-items.ts';
import { createRunState, type RunState } from './run-state.ts';
import type { LiveSession, RunSession, SessionDeps } from './session-types.ts';
import type { StoredInput, StoredItem, StoredRun, StoredSession } from './store/store.ts';
import { shorten, toText } from './tool-calls.ts';
import { withAnnounced } from './tools/announced.ts';
import { createViewCache } from './view-cache.ts';
import { within } from './within.ts';

/** When the store is asked again what there is to do. */
const RETRY_MS = 1_000;
/** How long the answer to a caller may wait for the database. */
const ANSWER_MS = 4_000;
const SUSPEND_MS = 2_000;

export async function createLiveSession(found: StoredSession, deps: SessionDeps): Promise<LiveSession> {
  const { store, agents, toolbox, log } = deps;
  const { writes } = store;
  const { sessionId } = found.session;
  const mutex = createMutex();
  const queue: StoredInput[] = [];
  const open = createOpenItems(store, sessionId);
  const views = createViewCache(store, sessionId);
  let lastPosition = await store.lastPosition(sessionId);
  let lastInput = 0;
  let active: RunState | undefined;
  let shownState = '';
  let isDeleted = false;
  /** Another object has the session now, or none. */
  let isGone = false;
  const cursors = createInputCursors();
  /** A write failed that may have been made all the same: the store knows better what is to be done. */
  let isUnsure = false;
  /** Runs that are over, and still at work for all the store knows. */
  const ended = new Set<string>();
  let asking: NodeJS.Timeout | undefined;

  const stateOf = (): SessionState =>
    active === undefined
      ? { state: 'idle', queued: queue.length }
      : { state: active.isWaiting ? 'waiting' : 'running', runId: active.run.runId, queued: queue.length };

  const eventLog = createEventLog({
    budget: deps.budget,
    beginsLate: lastPosition > 0,
    state: stateOf,
    snapshot: open.snapshot,
    openItems: open.list,
    openRequests: () => active?.openRequests() ?? [],
  });

  /** Changes the session here at once, and in the store with the next commit: of two changes at a time none is lost. */
  const changeSession = (changes: Partial<Session>) => {
    const before = self.session;
    const session: Session = { ...before, ...changes, updatedAt: new Date() };
    self.session = session;
    return {
      session,
      write: writes.sessionData(session),
      undo() {
        if (self.session === session) self.session = before;
      },
    };
  };

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
    view: () => views.get(),
    replaceView: views.replace,
    attachments: views.attachments,
    keepAttachments: views.keepAttachments,
    opened: open.opened,
    closed: open.closed,
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
      const change = changeSession({ agent: to });
      return {
        writes: [writes.item(sessionId, stored), change.write],
        undo: change.undo,
        show() {
          eventLog.append({ type: 'agent.switched', from, to, reason });
          eventLog.append({ type: 'item.started', item: { ...item, status: 'in_progress' } });
          eventLog.append({ type: 'item.completed', item });
          eventLog.append({ type: 'session.updated', session: change.session });
        },
      };
    },
    runEnds(runId, stored) {
      ended.add(runId);
      stored.then(
        () => ended.delete(runId),
        () => {},
      );
    },
    runSuspended: () => eventLog.close(),
    runOver() {
      active = undefined;
    },
    startNext: () => mutex(startNext),
  };

  /** Under the mutex: the next input of the queue becomes a run, if none is active. */
  async function startNext(): Promise<void> {
    const next = active === undefined && !isDeleted && !deps.lifecycle.draining.aborted ? queue[0] : undefined;
    if (next === undefined) return self.stateChanged();
    let run: RunState | undefined;
    try {
      run = await beginRun(next);
      await run.store([], deps.settings.storeTimeoutMs);
    } catch (error) {
      log.error({ err: error, sessionId }, 'the next run could not be stored: it is tried again');
      run?.abandon();
      active = undefined;
      unsure();
      self.stateChanged();
      return;
    }
    queue.shift();
    run.go();
  }

  /** Under the mutex: what the store has that is not at work here, the unfinished run first. Tried again until it succeeds. */
  async function takeUp(): Promise<void> {
    isUnsure = false;
    let run: RunState;
    try {
      queue.splice(0, queue.length, ...(await store.queuedInputs(sessionId)));
      const unfinished = active === undefined ? await store.runningRun(sessionId) : undefined;
      if (unfinished === undefined || ended.has(unfinished.run.runId))
        return queue.length > 0 ? await startNext() : undefined;
      run = await resumeRun(unfinished);
    } catch (error) {
      unsure();
      throw error;
    }
    active = run;
    run.go();
  }

  async function resumeRun(unfinished: StoredRun): Promise<RunState> {
    const input = await store.input(sessionId, unfinished.run.inputId);
    if (input === undefined) throw new Error(`the run ${unfinished.run.runId} has no input`);
    // Waiting for a person brings nothing down, however often the service is started anew meanwhile.
    const isWaiting = (await store.approvals(sessionId)).length > 0;

    return createRunState({
      session: self,
      deps,
      input,
      resumed: {
        ...unfinished,
        isWaiting,
        isCancelled: unfinished.isCancelled || queue.some(({ whenBusy }) => whenBusy === 'interrupt'),
      },
    });
  }

  /** The outcome of a write is unknown: the store is asked what there is to do, until it says. */
  function unsure(): void {
    isUnsure = true;
    views.forget();
    clearTimeout(asking);
    asking = setTimeout(() => {
      mutex(async () => {
        if (isUnsure && !isGone && !deps.lifecycle.draining.aborted) await takeUp();
      }).catch((err) => log.warn({ err, sessionId }, 'what there is to do could not be taken up: trying again'));
    }, RETRY_MS).unref();
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

  const decisions = createDecisions({ session: self, deps, active: () => active });

  const live: LiveSession = {
    get session() {
      return self.session;
    },
    log: eventLog,
    get isIdle() {
      return active === undefined && queue.length === 0 && !isUnsure;
    },

    update: ({ title, model, metadata }) =>
      mutex(async () => {
        const { session, write, undo } = changeSession({
          ...(title === undefined ? {} : { title }),
          ...(model === undefined ? {} : { model }),
          ...(metadata === undefined ? {} : { metadata }),
        });
        try {
          await store.commit([write]);
        } catch (error) {
          undo();
          throw error;
        }
        eventLog.append({ type: 'session.updated', session });
        return session;
      }),

    async announce({ clientId, tools }) {
      // Nothing else waits for that: it may take its time.
      await toolbox.check(tools);
      return mutex(async () => {
        const names = new Set(tools.map(({ name }) => name));
        const announced = withAnnounced(self.stored.tools, clientId, tools);
        if (JSON.stringify(announced) !== JSON.stringify(self.stored.tools)) {
          await store.commit([writes.sessionTools(sessionId, announced)]);
          self.stored = { ...self.stored, tools: announced };
        }
        // What waits for a client that has gone is offered to the one that came.
        active?.offerAgain(clientId, names);
        return { tools: tools.length };
      });
    },

    tools: () => toolbox.list(self.stored.tools),

    switchAgent: (name, reason) =>
      mutex(async () => {
        const { name: to } = agents.get(name);
        const from = self.session.agent;
        if (to !== from) {
          const change = self.switchWrites(to, reason, 'user', active?.run.runId ?? '');
          try {
            await store.commit(change.writes);
          } catch (error) {
            change.undo();
            throw error;
          }
          change.show();
        }
        return { from, to };
      }),

    send: (message, requestId) =>
      mutex(async () => {
        const { inputId, content, model, agent, attachments: files, whenBusy } = message;
        if (isDeleted) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
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
          cursors.accepted(inputId, eventId);
        };

        if (!isBusy && queue.length === 0) {
          const run = await beginRun(stored);
          try {
            await run.store();
          } catch (error) {
            run.abandon();
            active = undefined;
            unsure();
            throw error;
          }
          accepted();
          run.go();
          return { inputId, status: 'delivered', replayed: false, eventId, runId: run.run.runId };
        }
        try {
          await store.commit([writes.input(stored)]);
        } catch (error) {
          unsure();
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
      const known = await mutex(
        async () => cursors.recent(inputId) ?? (await store.input(sessionId, inputId))?.eventId,
      );
      return known ?? cursors.wait(inputId, signal);
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
        await active?.finishCall(call, end, { deadlineMs: ANSWER_MS });
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

    decide: (input) => mutex(() => decisions.decide(input)),

    approvals: decisions.pending,
    rules: decisions.rules,
    addRule: (rule) => mutex(() => decisions.addRule(rule)),
    deleteRule: (ruleId) => mutex(() => decisions.deleteRule(ruleId)),

    items: open.page,

    resume: () => mutex(takeUp),

    async end() {
      await mutex(async () => {
        await cancelQueued([...queue]);
        isDeleted = true;
        isGone = true;
      });
      const run = active;
      await run?.cancel();
      await run?.done;
      await mutex(async () => {});
      eventLog.close();
    },

    async suspend() {
      isGone = true;
      clearTimeout(asking);
      // What is being begun is let begin.
      await within(
        SUSPEND_MS,
        mutex(async () => {}),
      );
      const run = active;
      run?.suspend();
      await run?.done;
      eventLog.close();
    },
  };
  return live;
}

function toAttachmentInfo({ name, mimeType, data, text }: Attachment): NonNullable<Input['attachments']>[number] {
  const bytes = data === undefined ? Buffer.byteLength(text ?? '') : Math.floor((data.length * 3) / 4);
  return { name, mimeType, bytes };
}
