import {
  CodelabError,
  type NewSessionEvent,
  newId,
  type RememberedRule,
  type Rule,
  type SessionEvent,
} from '@codelab/protocol';
import { createInputCursors, type InputCursors } from '../events/input-cursors.ts';
import type { LiveStep } from '../events/live-step.ts';
import { createSessionEvents, type SessionEvents } from '../events/session-events.ts';
import { type Batch, createBatch } from '../journal/journal.ts';
import { createMutex } from '../lib/mutex.ts';
import { withTimeout } from '../lib/with-timeout.ts';
import type { Env, Row } from '../machine/draft.ts';
import { type Answer, decide, type Input, type InputName, type Inputs } from '../machine/session-machine.ts';
import { openRequests, type RunState, type SessionState, toShownState } from '../machine/state.ts';
import { Conflict } from '../store/commit-queue.ts';
import type { StoredSession } from '../store/store.ts';
import { createConversation, withItems } from './conversation.ts';
import { createEffects, type Effects } from './effects.ts';
import { createHistory, type History } from './history.ts';
import { loadState } from './load-state.ts';
import type { SessionDeps } from './session-types.ts';

/** When the store is asked again what there is to do. */
const RELOAD_MS = 1_000;
/** How long the answer to a caller may wait for the database. */
export const ANSWER_MS = 4_000;
const SUSPEND_MS = 2_000;
const FAIL_AGAIN_MS = 5_000;

/**
 * One session at work. What happens to it is decided one after the other, committed, and only then counts; its effects are what its state
 * needs, and nothing else.
 */
export interface SessionActor {
  readonly state: SessionState;
  /** False while the last commit's outcome is unknown. */
  readonly isCertain: boolean;
  readonly events: SessionEvents;
  readonly history: History;
  readonly cursors: InputCursors;
  readonly effects: Effects;
  /** Has `work` done when it is its turn, for a caller who waits 4 s and no longer. Throws `OVERLOADED` then, and `NOT_FOUND` once the session is deleted. */
  command<T>(work: (until: number) => Promise<T>): Promise<T>;
  /** Within a command: decides on an input and commits that. Throws the machine's refusal, or `OVERLOADED`: then it may be stored all the same. */
  perform<K extends InputName>(input: { type: K } & Inputs[K], until: number): Promise<Answer<K>>;
  /** Stores what came of an effect, however long the database is away. Rejects where it never can be, or where the session has stopped. */
  submit(input: Input): Promise<void>;
  /** Within a command: the state is what is stored. */
  settled(): Promise<void>;
  /** Resolves when all that came before has been decided. */
  idle(): Promise<void>;
  /** The remembered rules. */
  rules(): Promise<RememberedRule[]>;
  /** Takes no command any more. */
  close(): void;
  /** Leaves everything as it is stored, for the next process. */
  suspend(): Promise<void>;
  /** Ends what is at work. Its events are left open. */
  leave(): void;
}

export async function createSessionActor(found: StoredSession, deps: SessionDeps): Promise<SessionActor> {
  const { store, agents, log, settings, lifecycle } = deps;
  const { sessionId } = found.session;
  const mutex = createMutex();
  const conversation = createConversation(store, sessionId);
  const cursors = createInputCursors();
  let state = await loadState(found, deps);
  let isStale = false;
  let reloading: NodeJS.Timeout | undefined;
  let isClosed = false;
  /** Another actor has the session now, or none. */
  let isGone = false;
  let remembered: RememberedRule[] = [];
  let live: LiveStep | undefined;

  const history = createHistory({ store, sessionId, live: () => live, position: () => state.position });
  const events = createSessionEvents({
    budget: deps.budget,
    log: found.session.createdAt.getTime().toString(36),
    seq: found.seq,
    stored: (page) => store.events(sessionId, page),
    hasItem: async (itemId) => (await store.item(sessionId, itemId)) !== undefined,
    snapshot: history.snapshot,
    state: () => toShownState(state),
    openCalls: () => (state.run?.calls ?? []).map(({ stored }) => stored.item),
    openRequests: () =>
      openRequests(state).map((event): NewSessionEvent => {
        const deadline = event.type === 'tool.requested' ? effects.execution(event.callId)?.deadline : undefined;
        return event.type === 'tool.requested' && deadline !== undefined ? { ...event, deadline } : event;
      }),
  });
  const setLive = (step: LiveStep | undefined) => {
    live = step;
    events.setLive(step);
  };

  const rules = () => store.rules(sessionId, state.stored.session.project);
  /** A database that is gone for a moment ends no run: then the rules are those that were last read. */
  const rulesNow = async (): Promise<Rule[]> => {
    remembered = await rules().catch(() => remembered);
    return [...agents.find(state.stored.session.agent).rules, ...remembered];
  };
  const envNow = async (): Promise<Env> => ({
    now: Date.now(),
    newId,
    agents,
    rules: state.run === undefined ? [] : await rulesNow(),
    isDraining: isClosed || lifecycle.draining.aborted,
    settings,
  });

  /** Shows events that are stored. */
  const show = (stored: SessionEvent[]) => {
    let before = events.lastSeq;
    for (const event of stored) {
      if (event.type === 'input.accepted') cursors.accepted(event.input.inputId, events.positionAt(before));
      before = event.seq;
    }
    events.append(stored);
  };

  /** Logs what a batch tells of a run, under the id of the request that it began with. */
  const logRuns = (told: SessionEvent[], run: RunState | undefined) => {
    for (const event of told) {
      if (run === undefined || !('runId' in event) || event.runId !== run.run.runId) continue;
      const { runId } = event;
      const own = log.child({ requestId: run.input.requestId, sessionId, runId });
      if (event.type === 'run.started')
        own.info({ agent: event.agent, model: event.model, event: 'run.started' }, 'run started');
      if (event.type !== 'run.finished') continue;
      const { status, error, usage } = event;
      own.info({ status, code: error?.code, usage, event: 'run.finished' }, 'run finished');
    }
  };

  /** Makes a committed batch the state, shows its events, and begins what it needs. */
  const apply = (batch: Batch<unknown>, rows: Row[], input: Input): void => {
    logRuns(batch.events, state.run);
    state = batch.next;
    logRuns(batch.events, state.run);
    conversation.apply(rows);
    const isAnswered = input.type === 'endStep' || input.type === 'fail';
    if (isAnswered) effects.answered();
    const isSaid = isAnswered || input.type === 'retryStep';
    if (isSaid) live = undefined;
    show(batch.events);
    if (isSaid) events.setLive(undefined);
    effects.reconcile();
  };

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

  const perform: SessionActor['perform'] = async (input, until) => {
    const { decision, batch } = await decideNow(input);
    if (batch === undefined) return decision.answer;
    const isAhead = await askAhead(batch, decision.rows);
    try {
      await store.commit(batch.writes, { deadlineMs: Math.max(until - Date.now(), 1), onLate: uncertain });
    } catch (error) {
      if (isAhead) effects.forget();
      uncertain();
      throw error instanceof Conflict ? new CodelabError('OVERLOADED', undefined, { retryAfterMs: 1000 }) : error;
    }
    if (isAhead) effects.begin();
    apply(batch, decision.rows, input as Input);
    return batch.answer;
  };

  /** The model is asked while the beginning of its run is written. */
  const askAhead = async (batch: Batch<unknown>, rows: Row[]): Promise<boolean> => {
    const { run } = batch.next;
    if (run === undefined || state.run !== undefined || run.calls.length > 0) return false;
    const items = rows.flatMap((row) => (row[0] === 'item' ? [row[2]] : []));
    const view = withItems(await conversation.get(), items);
    conversation.apply(rows.filter((row) => row[0] === 'input'));
    effects.askAhead(batch.next, view);
    return true;
  };

  const command: SessionActor['command'] = (work) => {
    const until = Date.now() + ANSWER_MS;
    const late = () =>
      new CodelabError('OVERLOADED', 'The database cannot be written now. Sending the same again is safe.', {
        retryAfterMs: 1000,
      });
    const done = mutex(async () => {
      if (Date.now() >= until) throw late();
      if (isClosed) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
      return work(until);
    });
    return new Promise((resolve, reject) => {
      // What is at work has its own deadline, and says why.
      const timer = setTimeout(() => reject(late()), ANSWER_MS + 250);
      done.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  };

  const submit = (input: Input): Promise<void> =>
    mutex(async () => {
      for (;;) {
        if (isGone) throw new Error('the session has stopped');
        const decided = await decidePatiently(input);
        if (decided === undefined) continue;
        const { decision, batch } = decided;
        if (batch === undefined) {
          // Nobody waits for it any more.
          if (input.type === 'endStep') effects.answered();
          if (input.type === 'endStep' || input.type === 'retryStep') setLive(undefined);
          return effects.reconcile();
        }
        if (await commitPatiently(batch)) return apply(batch, decision.rows, input);
        isStale = true;
      }
    });

  const fail = async (runId: string, error: unknown): Promise<void> => {
    while (!isGone) {
      try {
        return await submit({ type: 'fail', runId, error });
      } catch (err) {
        if (!isGone)
          log.error(
            { err, sessionId, runId, event: 'run.unstored' },
            'the end of a run cannot be stored, trying again',
          );
        await new Promise((resolve) => setTimeout(resolve, FAIL_AGAIN_MS).unref());
      }
    }
  };

  /** Returns undefined where the database could not be read: it is tried again. */
  const decidePatiently = async (input: Input) => {
    try {
      return await decideNow(input as { type: InputName } & Inputs[InputName]);
    } catch (error) {
      if (!(error instanceof CodelabError) || error.code !== 'OVERLOADED') throw error;
      log.warn(
        { err: error.message, sessionId, event: 'state.unreadable' },
        'the session cannot be read, trying again',
      );
      await new Promise((resolve) => setTimeout(resolve, RELOAD_MS));
      return undefined;
    }
  };

  /** Tries a batch until it is stored: until then nothing is said to be final. Returns false where another commit came between. */
  const commitPatiently = async (batch: Batch<unknown>): Promise<boolean> => {
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
  };

  /** Loads the state again, as soon as that can be read. */
  const uncertain = () => {
    isStale = true;
    clearTimeout(reloading);
    reloading = setTimeout(() => {
      mutex(async () => {
        if (isStale && !isGone) await reload();
      }).catch((err) => {
        log.warn({ err, sessionId, event: 'state.unreadable' }, 'the session could not be loaded again, trying again');
        if (!isGone) uncertain();
      });
    }, RELOAD_MS).unref();
  };

  /** Loads the state again, and shows what was stored unseen. What is at work here goes on. */
  const reload = async (): Promise<void> => {
    const stored = await store.session(sessionId);
    if (stored === undefined) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
    const loaded = await loadState(stored, deps);
    const missed: SessionEvent[] = [];
    for (let after = events.lastSeq; after < stored.seq; ) {
      const page = await store.events(sessionId, { after, limit: 500 });
      if (page.length === 0) break;
      missed.push(...page);
      after = page.at(-1)?.seq ?? stored.seq;
    }
    conversation.forget();
    state = withWork(loaded, state);
    isStale = false;
    show(missed);
    effects.reconcile();
  };

  const effects = createEffects({
    sessionId,
    deps,
    log,
    host: {
      get state() {
        return state;
      },
      view: () => conversation.get(),
      attachments: conversation.attachments,
      tokensPerEstimate: 1,
      compactionTriedAt: undefined,
      submit,
      fail,
      setLive,
      changed: events.changed,
      rules: rulesNow,
      gotOn: () => effects.gotOn(),
    },
    onOnlyWaiting: () => suspendNow(),
  });

  const leave = () => {
    isGone = true;
    clearTimeout(reloading);
    effects.quit();
  };
  const suspendNow = () => {
    if (isGone) return;
    leave();
    events.close();
  };

  return {
    get state() {
      return state;
    },
    get isCertain() {
      return !isStale;
    },
    events,
    history,
    cursors,
    effects,
    command,
    perform,
    submit,
    settled: async () => {
      if (isStale) await reload();
    },
    idle: () => mutex(async () => {}),
    rules,
    close() {
      isClosed = true;
    },
    async suspend() {
      // What is being begun is let begin.
      await withTimeout(
        SUSPEND_MS,
        mutex(async () => {}),
      );
      suspendNow();
    },
    leave,
  };
}

/** Returns the state as it is stored, with what is at work of its run. */
function withWork(loaded: SessionState, before: SessionState): SessionState {
  const { run } = loaded;
  if (run === undefined) return { ...loaded, lastInput: before.lastInput };
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
