import {
  type Attachment,
  CodelabError,
  type ItemPage,
  type Input as Message,
  type NewSessionEvent,
  newId,
  type RememberedRule,
  type Rule,
} from '@codelab/protocol';
import { toCursor } from '../cursor.ts';
import { createDeferred, type Deferred } from '../deferred.ts';
import type { LiveStep } from '../events/live-step.ts';
import { createSessionEvents } from '../events/session-events.ts';
import { hash } from '../hash.ts';
import { createInputCursors } from '../input-cursors.ts';
import { type Batch, createBatch } from '../journal.ts';
import { createMutex } from '../mutex.ts';
import { type Execution, startExecution } from '../run/execute.ts';
import { type Generation, startGeneration } from '../run/generate.ts';
import type { LiveSession, SessionDeps } from '../session-types.ts';
import type { StoredInput, StoredItem, StoredSession } from '../store/store.ts';
import { Conflict } from '../store/writer.ts';
import { toText } from '../tool-calls.ts';
import { withAnnounced } from '../tools/announced.ts';
import { within } from '../within.ts';
import { checkDecision, checkRule } from './approvals.ts';
import { createConversation, withItems } from './conversation.ts';
import type { Env } from './draft.ts';
import { loadState } from './load.ts';
import { type Answer, decide, type Input, type InputName, type Inputs, isSameResult } from './machine.ts';
import { timeoutOf } from './run-machine.ts';
import { isWaiting, openRequests, type RunState, type SessionState, toShownState } from './state.ts';

/** When the store is asked again what there is to do. */
const RELOAD_MS = 1_000;
/** How long the answer to a caller may wait for the database. */
const ANSWER_MS = 4_000;
/** The end of a cancelled run is shown after so long, even where the database could not store it yet; it still will be. */
const CANCELLED_SHOWN_MS = 4_000;
const SUSPEND_MS = 2_000;
const SNAPSHOT_ITEMS = 200;

/**
 * Makes a session live: what happens to it is decided one after the other, committed, and only then counts. Its effects (the model's
 * answer, tools, timers) are what its state needs, and nothing else.
 */
export async function createSessionActor(found: StoredSession, deps: SessionDeps): Promise<LiveSession> {
  const { store, agents, toolbox, log, settings, lifecycle, probation } = deps;
  const { sessionId } = found.session;
  const mutex = createMutex();
  const conversation = createConversation(store, sessionId);
  const cursors = createInputCursors();
  let state = await loadState(found, deps);
  /** The last commit's outcome is unknown: the state is loaded again before anything is decided. */
  let isStale = false;
  let reloading: NodeJS.Timeout | undefined;
  let isDeleted = false;
  /** Another actor has the session now, or none. */
  let isGone = false;
  let rememberedRules: Rule[] = [];
  let live: LiveStep | undefined;

  // Effects: what the state needs.
  let generation: Generation | undefined;
  const executions = new Map<string, Execution>();
  const approvalTimers = new Map<string, NodeJS.Timeout>();
  let hold: { runId: string; gotOn: Deferred<void>; stop: Deferred<void> } | undefined;
  let release: (() => void) | undefined;
  /** Resolve when the active run is over. */
  const ends = new Set<() => void>();

  const events = createSessionEvents({
    budget: deps.budget,
    seq: found.seq,
    stored: (page) => store.events(sessionId, page),
    hasItem: async (itemId) => (await store.item(sessionId, itemId)) !== undefined,
    snapshot,
    state: () => toShownState(state),
    openCalls: () => (state.run?.calls ?? []).map(({ stored }) => stored.item),
    openRequests: () =>
      openRequests(state).map((event): NewSessionEvent => {
        const deadline = event.type === 'tool.requested' ? executions.get(event.callId)?.deadline : undefined;
        return event.type === 'tool.requested' && deadline !== undefined ? { ...event, deadline } : event;
      }),
  });

  const setLive = (step: LiveStep | undefined) => {
    live = step;
    events.setLive(step);
  };

  const liveItems = (): StoredItem[] =>
    (live?.items ?? []).map((_, index) => ({
      position: state.position + 1 + index,
      item: (live as LiveStep).itemOf(index),
    }));

  const page: LiveSession['items'] = async ({ before, limit }) => {
    // As it was before the store is asked: what is completed meanwhile is in an event after that.
    const saying = before === undefined ? liveItems() : [];
    const { items, more } = await store.items(sessionId, { limit, ...(before === undefined ? {} : { before }) });
    const known = new Set(items.map(({ item }) => item.itemId));
    const all = [...items, ...saying.filter(({ item }) => !known.has(item.itemId))];
    return { items: all.slice(-limit), more: more || all.length > limit };
  };

  async function snapshot(): Promise<ItemPage> {
    const { items, more } = await page({ limit: SNAPSHOT_ITEMS });
    const first = items[0];
    return {
      items: items.map(({ item }) => item),
      ...(more && first !== undefined ? { nextCursor: toCursor(first.position) } : {}),
    };
  }

  const remembered = async (): Promise<RememberedRule[]> => store.rules(sessionId, state.stored.session.project);
  /** A database that is gone for a moment ends no run: then the rules are those that were last read. */
  const rulesNow = async (): Promise<Rule[]> => {
    rememberedRules = await remembered().catch(() => rememberedRules as RememberedRule[]);
    return [...agents.find(state.stored.session.agent).rules, ...rememberedRules];
  };

  const envNow = async (): Promise<Env> => ({
    now: Date.now(),
    newId,
    agents,
    rules: state.run === undefined ? [] : await rulesNow(),
    isDraining: isDeleted || lifecycle.draining.aborted,
    settings,
  });

  /** Makes a committed batch the state, shows its events, and begins what it needs. */
  const apply = (batch: Batch<unknown>, rows: Parameters<typeof conversation.apply>[0], input: Input): void => {
    state = batch.next;
    conversation.apply(rows);
    let cursor = events.lastSeq;
    for (const event of batch.events) {
      if (event.type === 'input.accepted') cursors.accepted(event.input.inputId, String(cursor));
      cursor = event.seq;
    }
    if (input.type === 'endStep' || input.type === 'fail') generation = undefined;
    const isOver = input.type === 'endStep' || input.type === 'retryStep' || input.type === 'fail';
    if (isOver) live = undefined;
    events.append(batch.events);
    if (isOver) events.setLive(undefined);
    for (const event of batch.events)
      if (event.type === 'run.finished')
        log.info(
          {
            sessionId,
            runId: event.runId,
            status: event.status,
            code: event.error?.code,
            usage: event.usage,
            event: 'run.finished',
          },
          'run finished',
        );
    reconcile();
  };

  /** Decides on an input, under the mutex. */
  const decideNow = async <K extends InputName>(input: { type: K } & Inputs[K]) => {
    if (isStale) await reload();
    const env = await envNow();
    const decision = decide(state, input, env);
    const isNothing = decision.events.length === 0 && decision.rows.length === 0;
    const batch = isNothing
      ? undefined
      : createBatch(store, state, decision, { now: env.now, maxEventBytes: settings.eventsMaxBytes });
    return { decision, batch };
  };

  /** Decides and commits, under the mutex. */
  const perform = async <K extends InputName>(
    input: { type: K } & Inputs[K],
    until: number,
    ahead?: (batch: Batch<Answer<K>>, rows: Parameters<typeof conversation.apply>[0]) => Promise<void>,
  ): Promise<Answer<K>> => {
    const { decision, batch } = await decideNow(input);
    if (batch === undefined) return decision.answer;
    await ahead?.(batch, decision.rows);
    try {
      await store.commit(batch.writes, { deadlineMs: Math.max(until - Date.now(), 1) });
    } catch (error) {
      unknown();
      throw error instanceof Conflict ? new CodelabError('OVERLOADED', undefined, { retryAfterMs: 1000 }) : error;
    }
    apply(batch, decision.rows, input as Input);
    return batch.answer;
  };

  /** Has `work` done under the mutex, for a caller who waits so long and no longer. */
  const command = <T>(work: (until: number) => Promise<T>, answerMs = ANSWER_MS): Promise<T> => {
    const until = Date.now() + answerMs;
    const late = () =>
      new CodelabError('OVERLOADED', 'The database cannot be written now. Sending the same again is safe.', {
        retryAfterMs: 1000,
      });
    const done = mutex(async () => {
      if (Date.now() >= until) throw late();
      if (isDeleted) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
      return work(until);
    });
    done.catch(() => {});
    return new Promise((resolve, reject) => {
      // What is at work has its own deadline, and says why.
      const timer = setTimeout(() => reject(late()), answerMs + 250);
      done.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  };

  /** Stores what came of an effect, however long the database is away. Rejects where it never can be, or where the session has stopped. */
  const submit = (input: Input): Promise<void> =>
    mutex(async () => {
      for (;;) {
        if (isGone) throw new Error('the session has stopped');
        let decided: Awaited<ReturnType<typeof decideNow>>;
        try {
          decided = await decideNow(input as { type: InputName } & Inputs[InputName]);
        } catch (error) {
          if (!(error instanceof CodelabError) || error.code !== 'OVERLOADED') throw error;
          log.warn(
            { err: error.message, sessionId, event: 'state.unreadable' },
            'the session cannot be read now: trying again',
          );
          await new Promise((resolve) => setTimeout(resolve, RELOAD_MS));
          continue;
        }
        const { decision, batch } = decided;
        if (batch === undefined) {
          // Nobody waits for it any more.
          if (input.type === 'endStep') {
            generation = undefined;
            setLive(undefined);
          } else if (input.type === 'retryStep') setLive(undefined);
          return reconcile();
        }
        if (await commitPatiently(batch)) return apply(batch, decision.rows, input);
        isStale = true;
      }
    });

  /** Returns false where another commit came between. */
  const commitPatiently = async (batch: Batch<unknown>): Promise<boolean> => {
    const end = batch.events.find((event) => event.type === 'run.finished');
    const shownMs =
      end?.type === 'run.finished' && end.status === 'cancelled' ? CANCELLED_SHOWN_MS : settings.storeTimeoutMs;
    const early = setTimeout(() => {
      if (end === undefined) return;
      // Until it is stored the history has what was said from here.
      events.appendEarly(batch.events);
      events.setLive(undefined);
    }, shownMs);
    try {
      for (;;) {
        if (isGone) throw new Error('the session has stopped');
        try {
          await store.commit(batch.writes, { deadlineMs: settings.storeTimeoutMs });
          return true;
        } catch (error) {
          if (error instanceof Conflict) return false;
          if (!(error instanceof CodelabError) || error.code !== 'OVERLOADED') throw error;
          log.warn({ err: error.message, sessionId, event: 'commit.retry' }, 'a commit is tried again');
        }
      }
    } finally {
      clearTimeout(early);
    }
  };

  /** Says that the last commit's outcome is unknown. */
  const unknown = () => {
    isStale = true;
    conversation.forget();
    clearTimeout(reloading);
    reloading = setTimeout(() => {
      mutex(async () => {
        if (isStale && !isGone) await reload();
      }).catch((err) => {
        log.warn({ err, sessionId, event: 'state.unreadable' }, 'the session could not be loaded again: trying again');
        unknown();
      });
    }, RELOAD_MS).unref();
  };

  /** Loads the state again. What is at work here goes on. */
  const reload = async (): Promise<void> => {
    const stored = await store.session(sessionId);
    if (stored === undefined) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
    const loaded = await loadState(stored, deps);
    const missed: Batch<unknown>['events'] = [];
    for (let after = events.lastSeq; after < stored.seq; ) {
      const found = await store.events(sessionId, { after, limit: 500 });
      if (found.length === 0) break;
      missed.push(...found);
      after = found.at(-1)?.seq ?? stored.seq;
    }
    conversation.forget();
    state = withWork(loaded, state);
    isStale = false;
    let cursor = events.lastSeq;
    for (const event of missed) {
      if (event.type === 'input.accepted') cursors.accepted(event.input.inputId, String(cursor));
      cursor = event.seq;
    }
    events.append(missed);
    reconcile();
  };

  /** Starts the effects that the state needs, and ends those that it does not. */
  function reconcile(): void {
    if (isGone) return;
    const { run } = state;
    if (run === undefined) for (const end of ends) end();
    if (generation !== undefined && generation.runId !== run?.run.runId) generation.abort('drop');
    if (generation !== undefined && generation.runId !== run?.run.runId) {
      generation = undefined;
      setLive(undefined);
    }
    const calls = new Map((run?.calls ?? []).map((call) => [call.callId, call]));
    for (const [callId, execution] of executions) {
      if (calls.get(callId)?.is === 'executing') continue;
      execution.abort();
      executions.delete(callId);
    }
    for (const [callId, timer] of approvalTimers) {
      if (calls.get(callId)?.is === 'awaiting_approval') continue;
      clearTimeout(timer);
      approvalTimers.delete(callId);
    }
    if (hold !== undefined && hold.runId !== run?.run.runId) {
      hold.stop.resolve();
      hold.gotOn.resolve();
      hold = undefined;
    }
    const isBusy = run !== undefined && !isWaiting(run);
    if (isBusy) release ??= lifecycle.begin();
    else {
      release?.();
      release = undefined;
    }
    if (run === undefined) {
      if (state.queue.length > 0 && !lifecycle.draining.aborted && !isDeleted) later({ type: 'next' });
      return;
    }
    for (const call of run.calls) {
      if (call.is === 'awaiting_approval' && !approvalTimers.has(call.callId))
        approvalTimers.set(call.callId, expireAt(call.callId, call.approval.deadline));
    }
    if (run.isHeld) {
      holdRun(run);
      return;
    }
    if (run.isCancelled) {
      if (generation !== undefined) generation.abort('keep');
      else later({ type: 'resume', runId: run.run.runId, countsAttempt: false });
      return;
    }
    for (const call of run.calls) {
      if (call.is !== 'executing' || executions.has(call.callId)) continue;
      const timeoutMs = timeoutOf(call.tool, { settings });
      executions.set(call.callId, startExecution({ call, sessionId, timeoutMs, submit }));
    }
    if (run.calls.length === 0 && generation === undefined) {
      generation = startGeneration({ state, ahead: undefined, host, deps });
      generation.go();
    }
    if (lifecycle.draining.aborted && isWaiting(run)) void live_suspend();
  }

  const later = (input: Input): void => {
    submit(input).catch((err) => {
      if (!isGone)
        log.error(
          { err, sessionId, input: input.type, event: 'input.lost' },
          'what is to be done could not be decided',
        );
    });
  };

  function expireAt(callId: string, deadline: Date): NodeJS.Timeout {
    const ms = Math.min(Math.max(deadline.getTime() - Date.now(), 0), 2 ** 31 - 1);
    return setTimeout(() => {
      if (!isGone) later({ type: 'expire', callId });
    }, ms);
  }

  /** A run of an earlier process goes on when it is its turn: what it may do to this one is known before it does it. */
  function holdRun(run: RunState): void {
    const { runId } = run.run;
    if (hold?.runId === runId || lifecycle.draining.aborted) return;
    const held = { runId, gotOn: createDeferred<void>(), stop: createDeferred<void>() };
    hold = held;
    // Waiting for a person brings nothing down, however often the service is started anew meanwhile.
    const isHarmless = run.isCancelled || run.calls.some(({ is }) => is === 'awaiting_approval');
    if (isHarmless) held.gotOn.resolve();
    const turn = isHarmless ? Promise.resolve() : probation.turn(run.attempts, held.gotOn.promise, held.stop.promise);
    void turn.then(() => {
      if (!isGone) later({ type: 'resume', runId, countsAttempt: !isHarmless });
    });
  }

  const host = {
    get state() {
      return state;
    },
    view: () => conversation.get(),
    attachments: conversation.attachments,
    tokensPerEstimate: 1,
    submit,
    setLive,
    changed: events.changed,
    rules: rulesNow,
    gotOn() {
      hold?.gotOn.resolve();
      const { run } = state;
      if (run !== undefined && run.attempts > 0) later({ type: 'progress', runId: run.run.runId });
    },
  };

  /** The model is asked while the beginning of its run is written. */
  const askAhead = async (batch: Batch<unknown>, rows: Parameters<typeof conversation.apply>[0]): Promise<void> => {
    const { run } = batch.next;
    if (run === undefined || state.run !== undefined || run.calls.length > 0) return;
    const items = rows.flatMap((row) => (row[0] === 'item' ? [row[2]] : []));
    const view = withItems(await conversation.get(), items);
    conversation.apply(rows.filter((row) => row[0] === 'input'));
    generation = startGeneration({ state: batch.next, ahead: view, host, deps });
  };

  const send: LiveSession['send'] = (message, requestId) =>
    command(async (until) => {
      const { inputId, content, model, agent, attachments: files, whenBusy } = message;
      const sentWith = hash([content, model, agent, files]);
      if (isStale) await reload();
      const before = await store.input(sessionId, inputId);
      if (before !== undefined) {
        if (before.sentWith !== sentWith)
          throw new CodelabError(
            'IDEMPOTENCY_MISMATCH',
            `The input "${inputId}" was sent before, with another content.`,
          );
        const { status, runId } = before.input;
        return { inputId, status, replayed: true, eventId: before.eventId, ...(runId === undefined ? {} : { runId }) };
      }
      if (agent !== undefined) agents.get(agent);
      if (state.run !== undefined && whenBusy === 'reject')
        throw new CodelabError('SESSION_BUSY', undefined, { retryAfterMs: 1000 });
      const eventId = String(events.lastSeq);
      const hasFiles = files !== undefined && files.length > 0;
      // In order of arrival; one that interrupts comes before all that wait.
      const position = Math.max(state.lastInput + 1, Date.now() * 1000);
      const input: StoredInput = {
        input: {
          inputId,
          sessionId,
          content,
          ...(hasFiles ? { attachments: files.map(toAttachmentInfo) } : {}),
          ...(model === undefined ? {} : { model }),
          status: 'queued',
          createdAt: new Date(),
        },
        position: whenBusy === 'interrupt' ? -position : position,
        whenBusy,
        ...(agent === undefined ? {} : { agent }),
        ...(hasFiles ? { attachments: files } : {}),
        sentWith,
        requestId,
        eventId,
      };
      try {
        const answer = await perform({ type: 'send', input }, until, askAhead);
        generation?.go();
        return { ...answer, eventId };
      } catch (error) {
        if (state.run === undefined) dropGeneration();
        throw error;
      }
    });

  const dropGeneration = () => {
    generation?.abort('drop');
    generation = undefined;
  };

  const stop = async (runId: string): Promise<void> => {
    // A stop is never slowed by a disk.
    if (generation?.runId === runId) generation.abort('keep');
    for (const execution of executions.values()) execution.abort();
    const stored = submit({ type: 'stop', runId });
    stored.catch(() => {});
    const answered = await within(
      ANSWER_MS,
      stored.then(() => true),
    );
    if (answered !== true)
      throw new CodelabError(
        'OVERLOADED',
        'The database cannot be written now: the stop is on its way. Sending the same again is safe.',
        {
          retryAfterMs: 1000,
        },
      );
  };

  const toolResult: LiveSession['toolResult'] = ({ callId, result, error }) =>
    command(async (until) => {
      const end =
        error === undefined
          ? { outcome: 'succeeded' as const, text: toText(result) }
          : { outcome: 'failed' as const, text: error };
      if (isStale) await reload();
      if (state.run?.calls.some((call) => call.callId === callId) !== true) {
        const item = (await store.item(sessionId, callId))?.item;
        if (item?.toolCall === undefined)
          throw new CodelabError('NOT_FOUND', `There is no tool call "${callId}" in the session "${sessionId}".`);
        if (isSameResult(item, end)) return { status: 'accepted', replayed: true };
        throw new CodelabError(
          'TOOL_CALL_FINISHED',
          `The tool call "${callId}" ended before: ${item.toolCall.outcome ?? 'its run is over'}.`,
        );
      }
      await perform({ type: 'finishCall', callId, end, isClient: true }, until);
      hold?.gotOn.resolve();
      return { status: 'accepted', replayed: false };
    });

  const onDraining = () => reconcile();
  lifecycle.draining.addEventListener('abort', onDraining);

  const quit = () => {
    isGone = true;
    lifecycle.draining.removeEventListener('abort', onDraining);
    clearTimeout(reloading);
    dropGeneration();
    for (const execution of executions.values()) execution.abort();
    for (const timer of approvalTimers.values()) clearTimeout(timer);
    hold?.stop.resolve();
    hold?.gotOn.resolve();
    release?.();
    release = undefined;
    for (const end of ends) end();
  };
  async function live_suspend(): Promise<void> {
    if (isGone) return;
    quit();
    events.close();
  }

  return {
    get session() {
      return state.stored.session;
    },
    log: events,
    get isIdle() {
      return state.run === undefined && state.queue.length === 0 && !isStale;
    },

    update: ({ title, model, metadata }) =>
      command((until) =>
        perform(
          {
            type: 'update',
            changes: {
              ...(title === undefined ? {} : { title }),
              ...(model === undefined ? {} : { model }),
              ...(metadata === undefined ? {} : { metadata }),
            },
          },
          until,
        ),
      ),

    async announce({ clientId, tools }) {
      // Nothing else waits for that: it may take its time.
      await toolbox.check(tools);
      return command((until) =>
        perform(
          {
            type: 'announce',
            clientId,
            names: new Set(tools.map(({ name }) => name)),
            tools: withAnnounced(state.stored.tools, clientId, tools),
          },
          until,
        ),
      );
    },

    tools: () => toolbox.list(state.stored.tools),

    switchAgent: (name, reason) => {
      const { name: to } = agents.get(name);
      return command((until) => perform({ type: 'switchAgent', to, reason }, until));
    },

    send,

    async cursorOf(inputId, signal) {
      // What is being sent comes first.
      const known = await mutex(
        async () => cursors.recent(inputId) ?? (await store.input(sessionId, inputId))?.eventId,
      );
      return known ?? cursors.wait(inputId, signal);
    },

    cancelInput: (inputId) =>
      command(async (until) => {
        if (state.queue.some(({ input }) => input.inputId === inputId))
          return perform({ type: 'cancelInput', inputId }, until);
        const input = (await store.input(sessionId, inputId))?.input;
        if (input === undefined)
          throw new CodelabError('NOT_FOUND', `There is no input "${inputId}" in the session "${sessionId}".`);
        if (input.status === 'delivered')
          throw new CodelabError('INPUT_ALREADY_DELIVERED', undefined, { details: { runId: input.runId } });
        return { status: 'cancelled' };
      }),

    async cancelRun(runId) {
      // What is being begun is stopped as well.
      if (state.run === undefined && (runId === undefined || runId === generation?.runId)) {
        generation?.abort('keep');
        await within(
          ANSWER_MS,
          mutex(async () => {}),
        );
      }
      const active = state.run?.run.runId;
      if (active !== undefined && (runId === undefined || runId === active)) {
        await stop(active);
        return { status: 'cancelling' };
      }
      if (runId !== undefined && (await store.run(sessionId, runId)) === undefined)
        throw new CodelabError('NOT_FOUND', `There is no run "${runId}" in the session "${sessionId}".`);
      return { status: 'already_finished' };
    },

    toolResult,

    toolProgress({ callId, message, fraction }) {
      const call = state.run?.calls.find((each) => each.callId === callId);
      if (call?.is !== 'executing' || call.tool.target !== 'client')
        throw new CodelabError(
          'NOT_FOUND',
          `There is no open tool call "${callId}" of the IDE's in the session "${sessionId}".`,
        );
      executions.get(callId)?.extend();
      events.tell({ type: 'tool.progress', callId, message, ...(fraction === undefined ? {} : { fraction }) });
      return { status: 'accepted' };
    },

    decide: (decision) =>
      command(async (until) => {
        if (isStale) await reload();
        const checked = await checkDecision(state, decision, { deps, rules: remembered });
        if (checked === undefined) return { status: 'resolved', replayed: true };
        await perform({ type: 'decide', ...checked }, until);
        return { status: 'resolved', replayed: false };
      }),

    approvals: async () =>
      (state.run?.calls ?? []).flatMap((call) => (call.is === 'awaiting_approval' ? [call.approval] : [])),

    rules: remembered,

    addRule: (added) =>
      command(async (until) =>
        perform({ type: 'addRule', rule: checkRule(state.stored.session, added, await remembered()) }, until),
      ),

    deleteRule: (ruleId) =>
      command(async () => {
        if (!(await remembered()).some((rule) => rule.ruleId === ruleId)) return { deleted: false };
        await store.commit([store.writes.deleteRule(ruleId, sessionId, state.stored.session.project)]);
        return { deleted: true };
      }),

    items: page,

    async resume() {
      reconcile();
    },

    async end() {
      await command((until) => perform({ type: 'cancelQueue' }, until));
      isDeleted = true;
      const active = state.run?.run.runId;
      if (active !== undefined) {
        const over = new Promise<void>((resolve) => ends.add(resolve));
        await stop(active);
        await over;
      }
      await mutex(async () => {});
      quit();
      events.close();
    },

    async suspend() {
      // What is being begun is let begin.
      await within(
        SUSPEND_MS,
        mutex(async () => {}),
      );
      await live_suspend();
    },
  };
}

/** The state as it is stored, with what is at work of its run. */
function withWork(loaded: SessionState, before: SessionState): SessionState {
  const { run } = loaded;
  if (run === undefined) return loaded;
  const own = before.run?.run.runId === run.run.runId ? before.run : undefined;
  const calls = run.calls.map((call) => {
    const known = own?.calls.find(({ callId }) => callId === call.callId);
    return known?.is === 'executing' ? known : call;
  });
  return {
    ...loaded,
    lastInput: before.lastInput,
    run: { ...run, calls, isHeld: own?.isHeld ?? false, repetition: own?.repetition ?? run.repetition },
  };
}

function toAttachmentInfo({ name, mimeType, data, text }: Attachment): NonNullable<Message['attachments']>[number] {
  const bytes = data === undefined ? Buffer.byteLength(text ?? '') : Math.floor((data.length * 3) / 4);
  return { name, mimeType, bytes };
}
