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
import type { Row } from '../machine/draft.ts';
import { type Answer, asksRules, decide, type Input, type InputName, type Inputs } from '../machine/session-machine.ts';
import { openRequests, type RunState, type SessionState, toShownState } from '../machine/state.ts';
import { Conflict } from '../store/commit-queue.ts';
import type { StoredSession } from '../store/store.ts';
import { type Conversation, createConversation, withItems } from './conversation.ts';
import { createEffects, type Effects, type EffectsOptions } from './effects.ts';
import { createHistory, type History } from './history.ts';
import { loadState } from './load-state.ts';
import { type ClientPresence, createClientPresence } from './presence.ts';
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
  readonly presence: ClientPresence;
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
  return new Actor(found, await loadState(found, deps), deps);
}

class Actor implements SessionActor {
  readonly events: SessionEvents;
  readonly history: History;
  readonly cursors = createInputCursors();
  readonly effects: Effects;
  readonly presence: ClientPresence;
  readonly #sessionId: string;
  readonly #deps: SessionDeps;
  readonly #mutex = createMutex();
  readonly #conversation: Conversation;
  #state: SessionState;
  #isStale = false;
  #reloading: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Another actor has the session now, or none. */
  #isGone = false;
  #live: LiveStep | undefined;

  constructor(found: StoredSession, state: SessionState, deps: SessionDeps) {
    const { store, budget } = deps;
    const { sessionId, createdAt } = found.session;
    this.#sessionId = sessionId;
    this.#deps = deps;
    this.#state = state;
    this.#conversation = createConversation(store, sessionId);
    this.history = createHistory({
      store,
      sessionId,
      live: () => this.#live,
      position: () => this.#state.position,
    });
    this.events = createSessionEvents({
      budget,
      log: createdAt.getTime().toString(36),
      seq: found.seq,
      stored: (page) => store.events(sessionId, page),
      hasItem: async (itemId) => (await store.item(sessionId, itemId)) !== undefined,
      snapshot: this.history.snapshot,
      state: () => toShownState(this.#state),
      openCalls: () => (this.#state.run?.calls ?? []).map(({ stored }) => stored.item),
      openRequests: () => this.#openRequests(),
    });
    this.presence = createClientPresence({ graceMs: deps.settings.graceMs, onChange: () => this.#presenceChanged() });
    this.effects = createEffects({
      sessionId,
      deps,
      log: deps.log,
      host: this.#hostOfEffects(),
      showProgress: (progress) => this.events.showProgress({ type: 'tool.progress', ...progress }),
      onOnlyWaiting: () => this.#suspendNow(),
    });
  }

  get state(): SessionState {
    return this.#state;
  }

  get isCertain(): boolean {
    return !this.#isStale;
  }

  command<T>(work: (until: number) => Promise<T>): Promise<T> {
    const until = Date.now() + ANSWER_MS;
    const late = () =>
      new CodelabError('OVERLOADED', 'The database cannot be written now. Sending the same again is safe.', {
        retryAfterMs: 1000,
      });
    const done = this.#mutex(async () => {
      if (Date.now() >= until) throw late();
      if (this.#isClosed) throw this.#notFound();
      return work(until);
    });
    return new Promise((resolve, reject) => {
      // What is at work has its own deadline, and says why.
      const timer = setTimeout(() => reject(late()), ANSWER_MS + 250);
      done.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  async perform<K extends InputName>(input: { type: K } & Inputs[K], until: number): Promise<Answer<K>> {
    const { decision, batch } = await this.#decide(input);
    if (batch === undefined) return decision.answer;
    const isAhead = await this.#askAhead(batch, decision.rows);
    try {
      await this.#deps.store.commit(batch.writes, {
        deadlineMs: Math.max(until - Date.now(), 1),
        onLate: () => this.#uncertain(),
      });
    } catch (error) {
      if (isAhead) this.effects.forget();
      this.#uncertain();
      throw error instanceof Conflict ? new CodelabError('OVERLOADED', undefined, { retryAfterMs: 1000 }) : error;
    }
    if (isAhead) this.effects.begin();
    this.#apply(batch, decision.rows, input as Input);
    return batch.answer;
  }

  submit(input: Input): Promise<void> {
    return this.#mutex(async () => {
      for (;;) {
        const { decision, batch } = await this.#patiently(() =>
          this.#decide(input as { type: InputName } & Inputs[InputName]),
        );
        if (batch === undefined) {
          // Nobody waits for it any more.
          if (input.type === 'endStep') this.effects.answered();
          if (input.type === 'endStep' || input.type === 'retryStep') this.#setLive(undefined);
          return this.effects.reconcile();
        }
        if (await this.#commitPatiently(batch)) return this.#apply(batch, decision.rows, input);
        this.#isStale = true;
      }
    });
  }

  async settled(): Promise<void> {
    if (this.#isStale) await this.#reload();
  }

  idle(): Promise<void> {
    return this.#mutex(async () => {});
  }

  rules(): Promise<RememberedRule[]> {
    return this.#deps.store.rules(this.#sessionId, this.#state.stored.session.project);
  }

  close(): void {
    this.#isClosed = true;
  }

  async suspend(): Promise<void> {
    // What is being begun is let begin.
    await withTimeout(SUSPEND_MS, this.idle());
    this.#suspendNow();
  }

  leave(): void {
    this.#isGone = true;
    clearTimeout(this.#reloading);
    this.presence.close();
    this.effects.quit();
  }

  #hostOfEffects(): EffectsOptions['host'] {
    const actor = this;
    return {
      get state() {
        return actor.#state;
      },
      view: () => actor.#conversation.get(),
      attachments: actor.#conversation.attachments,
      tokensPerEstimate: 1,
      compactionTriedAt: undefined,
      submit: (input) => actor.submit(input),
      fail: (runId, error) => actor.#fail(runId, error),
      setLive: (step) => actor.#setLive(step),
      changed: actor.events.changed,
      rules: () => actor.#patiently(() => actor.#allRules()),
      gotOn: () => actor.effects.gotOn(),
    };
  }

  /** Decides on the calls of a run anew; also where it has none: those that are being committed were offered by what was known before. */
  #presenceChanged(): void {
    if (this.#state.run === undefined || this.#isGone) return;
    this.submit({ type: 'presence' }).catch((err) => {
      const fields = { err, sessionId: this.#sessionId, event: 'input.lost' };
      if (!this.#isGone) this.#deps.log.error(fields, 'a change of the clients could not be decided on');
    });
  }

  #notFound(): CodelabError {
    return new CodelabError('NOT_FOUND', `There is no session "${this.#sessionId}".`);
  }

  #suspendNow(): void {
    if (this.#isGone) return;
    this.leave();
    this.events.close();
  }

  #setLive(step: LiveStep | undefined): void {
    this.#live = step;
    this.events.setLive(step);
  }

  #openRequests(): NewSessionEvent[] {
    return openRequests(this.#state).map((event) => {
      if (event.type !== 'tool.requested') return event;
      const deadline = this.effects.execution(event.callId)?.deadline;
      return deadline === undefined ? event : { ...event, deadline };
    });
  }

  /** Reads all rules that count, those of the agent first. Rules that cannot be read are not taken for none. */
  async #allRules(): Promise<Rule[]> {
    const remembered = await this.rules();
    return [...this.#deps.agents.find(this.#state.stored.session.agent).rules, ...remembered];
  }

  async #decide<K extends InputName>(input: { type: K } & Inputs[K]) {
    if (this.#isStale) await this.#reload();
    const { store, agents, lifecycle, settings } = this.#deps;
    const rules = asksRules(this.#state, input as Input) ? await this.#allRules() : [];
    const now = Date.now();
    const isDraining = this.#isClosed || lifecycle.draining.aborted;
    const decision = decide(this.#state, input, {
      now,
      newId,
      agents,
      rules,
      isDraining,
      presence: this.presence.of,
      settings,
    });
    const isNothing = decision.events.length === 0 && decision.rows.length === 0;
    const options = { now, maxEventBytes: settings.eventsMaxBytes };
    return { decision, batch: isNothing ? undefined : createBatch(store, this.#state, decision, options) };
  }

  /** Does work that reads the database, again and again while that cannot be read. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#isGone) throw new Error('the session has stopped');
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof CodelabError) || error.code !== 'OVERLOADED') throw error;
        this.#warn({ err: error.message, event: 'state.unreadable' }, 'the session cannot be read, trying again');
        await new Promise((resolve) => setTimeout(resolve, RELOAD_MS));
      }
    }
  }

  /** Tries a batch until it is stored: until then nothing is said to be final. Returns false where another commit came between. */
  async #commitPatiently(batch: Batch<unknown>): Promise<boolean> {
    const { store, settings } = this.#deps;
    for (;;) {
      if (this.#isGone) throw new Error('the session has stopped');
      try {
        await store.commit(batch.writes, { deadlineMs: settings.storeTimeoutMs });
        return true;
      } catch (error) {
        if (error instanceof Conflict) return false;
        if (!(error instanceof CodelabError) || error.code !== 'OVERLOADED') throw error;
        this.#warn({ err: error.message, event: 'commit.retry' }, 'a commit is tried again');
      }
    }
  }

  /** Asks the model while the beginning of its run is written. */
  async #askAhead(batch: Batch<unknown>, rows: Row[]): Promise<boolean> {
    const { run } = batch.next;
    if (run === undefined || this.#state.run !== undefined || run.calls.length > 0) return false;
    const items = rows.flatMap((row) => (row[0] === 'item' ? [row[2]] : []));
    const view = withItems(await this.#conversation.get(), items);
    this.#conversation.apply(rows.filter((row) => row[0] === 'input'));
    this.effects.askAhead(batch.next, view);
    return true;
  }

  /** Makes a committed batch the state, shows its events, and begins what it needs. */
  #apply(batch: Batch<unknown>, rows: Row[], input: Input): void {
    this.#logRuns(batch.events, [this.#state.run, batch.next.run]);
    const { metrics } = this.#deps;
    metrics.told(batch.events, this.#state);
    if (input.type === 'resume' && this.#state.run?.isHeld === true) metrics.runResumed();
    this.#state = batch.next;
    this.#conversation.apply(rows);
    const isAnswered = input.type === 'endStep' || input.type === 'fail';
    if (isAnswered) this.effects.answered();
    const isSaid = isAnswered || input.type === 'retryStep';
    if (isSaid) this.#live = undefined;
    this.#show(batch.events);
    if (isSaid) this.events.setLive(undefined);
    this.effects.reconcile();
  }

  /** Shows events that are stored. */
  #show(stored: SessionEvent[]): void {
    let before = this.events.lastSeq;
    for (const event of stored) {
      if (event.type === 'input.accepted') this.cursors.accepted(event.input.inputId, this.events.positionAt(before));
      before = event.seq;
    }
    this.events.append(stored);
  }

  /** Ends the run as failed, as soon as that can be stored. */
  async #fail(runId: string, error: unknown): Promise<void> {
    while (!this.#isGone) {
      try {
        return await this.submit({ type: 'fail', runId, error });
      } catch (err) {
        const { log } = this.#deps;
        const fields = { err, sessionId: this.#sessionId, runId, event: 'run.unstored' };
        if (!this.#isGone) log.error(fields, 'the end of a run cannot be stored, trying again');
        await new Promise((resolve) => setTimeout(resolve, FAIL_AGAIN_MS).unref());
      }
    }
  }

  /** Loads the state again, as soon as that can be read. */
  #uncertain(): void {
    this.#isStale = true;
    clearTimeout(this.#reloading);
    this.#reloading = setTimeout(() => {
      this.#mutex(async () => {
        if (this.#isStale && !this.#isGone) await this.#reload();
      }).catch((err) => {
        this.#warn({ err, event: 'state.unreadable' }, 'the session could not be loaded again, trying again');
        if (!this.#isGone) this.#uncertain();
      });
    }, RELOAD_MS).unref();
  }

  /** Loads the state again, and shows what was stored unseen. What is at work here goes on. */
  async #reload(): Promise<void> {
    const stored = await this.#deps.store.session(this.#sessionId);
    if (stored === undefined) throw this.#notFound();
    const loaded = await loadState(stored, this.#deps);
    const missed = await this.#missedUpTo(stored.seq);
    this.#deps.metrics.told(missed, this.#state);
    this.#conversation.forget();
    this.#state = withWork(loaded, this.#state);
    this.#isStale = false;
    this.#show(missed);
    this.effects.reconcile();
  }

  /** Reads the stored events that have not been shown here. */
  async #missedUpTo(seq: number): Promise<SessionEvent[]> {
    const missed: SessionEvent[] = [];
    for (let after = this.events.lastSeq; after < seq; ) {
      const page = await this.#deps.store.events(this.#sessionId, { after, limit: 500 });
      if (page.length === 0) break;
      missed.push(...page);
      after = page.at(-1)?.seq ?? seq;
    }
    return missed;
  }

  /** Logs the beginnings and ends of runs, under the id of the request that each began with. */
  #logRuns(told: SessionEvent[], runs: Array<RunState | undefined>): void {
    for (const event of told) {
      if (event.type !== 'run.started' && event.type !== 'run.finished') continue;
      const { runId } = event;
      const run = runs.find((each) => each?.run.runId === runId);
      if (run === undefined) continue;
      const log = this.#deps.log.child({ requestId: run.input.requestId, sessionId: this.#sessionId, runId });
      if (event.type === 'run.started')
        log.info({ agent: event.agent, model: event.model, event: 'run.started' }, 'run started');
      else {
        const { status, error, usage } = event;
        log.info({ status, code: error?.code, usage, event: 'run.finished' }, 'run finished');
      }
    }
  }

  #warn(fields: { err: unknown; event: string }, message: string): void {
    this.#deps.log.warn({ ...fields, sessionId: this.#sessionId }, message);
  }
}

/** Returns the state as it is stored, with what is at work of its run. */
function withWork(loaded: SessionState, before: SessionState): SessionState {
  const { run } = loaded;
  if (run === undefined) return { ...loaded, lastInput: before.lastInput };
  const own = before.run?.run.runId === run.run.runId ? before.run : undefined;
  const calls = run.calls.map((call) => {
    const known = own?.calls.find(({ callId }) => callId === call.callId);
    return known?.is === 'executing' || (known?.is === 'ready' && call.is === 'ready') ? known : call;
  });
  return {
    ...loaded,
    lastInput: before.lastInput,
    run: { ...run, calls, isHeld: own?.isHeld ?? false, repetition: own?.repetition ?? run.repetition },
  };
}
