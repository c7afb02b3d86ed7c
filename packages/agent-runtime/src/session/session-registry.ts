import {
  CodelabError,
  eventBytes,
  type Input,
  type InputSend,
  type InputSent,
  type ItemPage,
  type NewSessionEvent,
  newId,
  type RememberedRule,
  type Run,
  type Session,
  type SessionCreate,
  type SessionEvents,
  type SessionFork,
  type SessionItems,
  type SessionList,
  type TrackedEvent,
} from '@codelab/protocol';
import { fingerprint, type Pushable, pushable } from '@codelab/service-kit';
import { createLogBudget } from '../events/log-budget.ts';
import { createMutex, type Mutex } from '../lib/mutex.ts';
import { parsePageCursor, parsePlaceCursor, toPageCursor } from '../lib/page-cursor.ts';
import { Conflict } from '../store/commit-queue.ts';
import type { StoredSession } from '../store/store.ts';
import { copyRules } from './approvals.ts';
import { createLiveSession } from './live-session.ts';
import { createProbation } from './probation.ts';
import type { LiveSession, SessionDeps } from './session-types.ts';

/** When sessions are taken up again that could not be. */
const RECOVER_AGAIN_MS = 2_000;
const EVICT_EVERY_MS = 3_600_000;

export interface ReadEventsOptions {
  signal: AbortSignal | undefined;
  draining: AbortSignal;
}

/** All sessions: those that are in use, in memory; the others in the store. */
export interface SessionRegistry {
  create(input: SessionCreate): Promise<{ session: Session; replayed: boolean }>;
  /** Copies what was said up to an item into a session of its own. */
  fork(input: SessionFork): Promise<{ session: Session; replayed: boolean }>;
  list(input: SessionList): Promise<{ sessions: Session[]; nextCursor?: string }>;
  delete(sessionId: string): Promise<{ deleted: boolean }>;
  /** Has `work` done with a session, which stays in memory meanwhile. Throws `NOT_FOUND`. */
  use<T>(sessionId: string, work: (session: LiveSession) => T | Promise<T>): Promise<T>;
  items(input: SessionItems): Promise<ItemPage>;
  events(input: SessionEvents, options: ReadEventsOptions): Pushable<TrackedEvent>;
  send(input: InputSend, requestId: string): Promise<InputSent>;
  run(sessionId: string, runId: string): Promise<Run>;
  input(sessionId: string, inputId: string): Promise<Input>;
  /** Takes up what an earlier process left unfinished. */
  recover(): Promise<void>;
  /** Stops every active run where it is: the next process goes on with it. */
  stop(): Promise<void>;
}

export async function createSessionRegistry(
  options: Omit<SessionDeps, 'budget' | 'probation'>,
): Promise<SessionRegistry> {
  const deps: SessionDeps = { ...options, budget: createLogBudget(), probation: createProbation() };
  const { store, agents, lifecycle, settings, metrics } = deps;
  const { statements } = store;
  /** In order of use. */
  const live = new Map<string, Promise<LiveSession>>();
  metrics.readLive(() => live.size);
  /** How many calls and readers hold a session in memory. */
  const users = new Map<string, number>();
  const mutexes = new Map<string, Mutex>();
  let lastNumber = await store.lastSessionNumber();
  let recovering = Promise.resolve();
  const evictOldEvents = () => {
    const before = Date.now() - settings.eventsMaxAgeMs;
    store
      .commit([statements.evictEventsBefore(before)])
      .catch((err) => deps.log.warn({ err, event: 'events.evict' }, 'old events could not be evicted'));
  };
  const evicting = setInterval(evictOldEvents, EVICT_EVERY_MS).unref();

  const get = (sessionId: string): Promise<LiveSession> => {
    const known = live.get(sessionId);
    live.delete(sessionId);
    const session = known ?? load(sessionId);
    live.set(sessionId, session);
    if (known === undefined)
      session.then(evict, () => {
        if (live.get(sessionId) === session) live.delete(sessionId);
      });
    return session;
  };

  const use: SessionRegistry['use'] = async (sessionId, work) => {
    const release = hold(sessionId);
    try {
      return await work(await get(sessionId));
    } finally {
      release();
    }
  };

  /** Keeps a session in memory until it is released. */
  const hold = (sessionId: string): (() => void) => {
    users.set(sessionId, (users.get(sessionId) ?? 0) + 1);
    return () => {
      const left = (users.get(sessionId) ?? 1) - 1;
      if (left === 0) users.delete(sessionId);
      else users.set(sessionId, left);
    };
  };

  const load = async (sessionId: string): Promise<LiveSession> => {
    const found = await store.session(sessionId);
    if (found === undefined) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
    const session = await createLiveSession(found, deps);
    deps.log.debug({ sessionId, seq: found.seq, event: 'session.load' }, 'session loaded into memory');
    // What is unfinished while we stop is left to the next process.
    if (lifecycle.draining.aborted) return session;
    try {
      await session.resume();
      return session;
    } catch (error) {
      await session.suspend();
      throw error;
    }
  };

  /** Evicts idle, unused sessions in LRU order. */
  const evict = async (): Promise<void> => {
    if (live.size <= settings.liveSessions) return;
    for (const [sessionId, loading] of live) {
      if (live.size <= settings.liveSessions * 0.9) return;
      const session = await loading.catch(() => undefined);
      if (session?.isIdle !== true || users.has(sessionId) || live.get(sessionId) !== loading) continue;
      live.delete(sessionId);
      deps.log.debug({ sessionId, event: 'session.evict' }, 'idle session evicted from memory');
      void session.suspend();
    }
  };

  const insert = async (
    stored: Omit<StoredSession, 'seq' | 'eventBytes'>,
    copy?: { from: string; upTo: number; rules: RememberedRule[] },
  ): Promise<{ session: Session; replayed: boolean }> => {
    const { session } = stored;
    const { sessionId } = session;
    const event: NewSessionEvent = { type: 'session.updated', session };
    const bytes = eventBytes(event);
    // What was copied has no events here: a reader from the start finds a gap, and begins with the history.
    const seq = copy === undefined ? 1 : 2;
    try {
      await store.commit([
        statements.session({ ...stored, seq, eventBytes: bytes }, newId('commit')),
        statements.events(sessionId, [{ event, seq, ts: session.createdAt.getTime(), bytes, totalBytes: bytes }]),
        ...(copy === undefined ? [] : [statements.copyHistory(copy.from, sessionId, copy.upTo)]),
        ...(copy?.rules ?? []).map((rule) => statements.rule(rule, sessionId, session.project)),
      ]);
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      // An earlier try was stored after all, later than its caller waited.
      const before = await madeBefore(sessionId, stored.createdFingerprint);
      if (before === undefined) throw new CodelabError('OVERLOADED', undefined, { retryAfterMs: 1000 });
      return { session: before, replayed: true };
    }
    metrics.sessionCreated(copy === undefined ? 'created' : 'forked');
    return { session, replayed: false };
  };

  /** The session of that id, where it was made with the same values. Throws `IDEMPOTENCY_MISMATCH`. */
  const madeBefore = async (sessionId: string, createdWith: string): Promise<Session | undefined> => {
    const existing = await store.session(sessionId);
    if (existing === undefined || existing.createdFingerprint === createdWith) return existing?.session;
    throw new CodelabError(
      'IDEMPOTENCY_MISMATCH',
      `The session "${sessionId}" exists, and was created with other values.`,
    );
  };

  /** Two creations of one id come one after the other. */
  const inTurn = async <T>(sessionId: string, work: () => Promise<T>): Promise<T> => {
    const mutex = mutexes.get(sessionId) ?? createMutex();
    mutexes.set(sessionId, mutex);
    const release = hold(sessionId);
    try {
      return await mutex(work);
    } finally {
      release();
      if (!users.has(sessionId)) mutexes.delete(sessionId);
    }
  };

  const create: SessionRegistry['create'] = ({ sessionId = newId('ses'), ...input }) =>
    inTurn(sessionId, async () => {
      const { title, agent, model, effort, project } = input;
      const own = effort === undefined ? [] : [effort];
      const createdWith = fingerprint([title, agent, model, project, sorted(input.metadata), ...own]);
      const before = await madeBefore(sessionId, createdWith);
      if (before !== undefined) return { session: before, replayed: true };
      if (agent !== undefined) agents.get(agent);
      const now = new Date();
      const session: Session = {
        sessionId,
        title: title ?? '',
        agent: agent ?? agents.list().defaultAgent,
        model: model ?? 'default',
        ...(effort === undefined ? {} : { effort }),
        project: project ?? '',
        metadata: input.metadata ?? {},
        createdAt: now,
        updatedAt: now,
      };
      // Not a part of the fingerprint: the date is another one tomorrow.
      const { environment } = input;
      return insert({ session, number: ++lastNumber, createdFingerprint: createdWith, tools: [], environment });
    });

  return {
    create,
    use,

    fork: ({ sessionId, itemId, newSessionId = newId('ses'), title }) =>
      inTurn(newSessionId, async () => {
        const createdWith = fingerprint(['fork', sessionId, itemId, title]);
        const before = await madeBefore(newSessionId, createdWith);
        if (before !== undefined) return { session: before, replayed: true };
        const found = await store.session(sessionId);
        if (found === undefined) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
        const last = itemId === undefined ? undefined : await store.item(sessionId, itemId);
        if (itemId !== undefined && last === undefined)
          throw new CodelabError('NOT_FOUND', `There is no item "${itemId}" in the session "${sessionId}".`);
        const now = new Date();
        const session: Session = {
          ...found.session,
          sessionId: newSessionId,
          title: title ?? found.session.title,
          forkedFrom: { sessionId, ...(itemId === undefined ? {} : { itemId }) },
          createdAt: now,
          updatedAt: now,
        };
        const rules = copyRules(session, await store.rules(sessionId, session.project));
        const copy = { from: sessionId, upTo: last?.position ?? Number.MAX_SAFE_INTEGER, rules };
        const { tools, environment } = found;
        return insert({ session, number: ++lastNumber, createdFingerprint: createdWith, tools, environment }, copy);
      }),

    async list({ cursor, search, project, limit }) {
      const [usedAt, number] = cursor === undefined ? [] : parsePlaceCursor(cursor);
      const after = usedAt === undefined || number === undefined ? undefined : { usedAt, number };
      const found = await store.sessions({ after, search, project, limit: limit + 1 });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        sessions: page.map(({ session }) => session),
        ...(found.length > limit && last !== undefined ? { nextCursor: toPageCursor(last.usedAt, last.number) } : {}),
      };
    },

    async delete(sessionId) {
      if ((await store.session(sessionId)) === undefined) return { deleted: false };
      return use(sessionId, async (session) => {
        const loading = live.get(sessionId);
        try {
          await session.end();
          await store.commit([statements.deleteSession(sessionId)]);
          session.log.close({ type: 'session.deleted', sessionId });
          return { deleted: true };
        } finally {
          session.log.close();
          // Where it could not be deleted, it is loaded anew.
          if (live.get(sessionId) === loading) live.delete(sessionId);
        }
      });
    },

    async items({ sessionId, cursor, limit }) {
      const { items, more } = await use(sessionId, (session) =>
        session.items({ limit, ...(cursor === undefined ? {} : { before: parsePageCursor(cursor) }) }),
      );
      const first = items[0];
      return {
        items: items.map(({ item }) => item),
        ...(more && first !== undefined ? { nextCursor: toPageCursor(first.position) } : {}),
      };
    },

    events({ sessionId, lastEventId, from, inputId, clientId }, { signal, draining }) {
      /** Takes a place among the session's readers. Returns undefined for a caller that has left meanwhile. */
      const enter = async () => {
        const release = hold(sessionId);
        let gone = () => {};
        const leave = () => {
          gone();
          release();
        };
        try {
          const session = await get(sessionId);
          if (clientId !== undefined && !signal?.aborted) gone = session.came(clientId);
          const cursor =
            lastEventId == null && inputId !== undefined && !signal?.aborted
              ? await session.cursorOf(inputId, AbortSignal.any([draining, ...(signal === undefined ? [] : [signal])]))
              : lastEventId;
          if (!signal?.aborted)
            return { log: session.log, how: { lastEventId: cursor, from, signal, draining }, leave };
        } catch (error) {
          leave();
          throw error;
        }
        leave();
        return undefined;
      };
      return pushable<TrackedEvent>(
        async function* () {
          const place = await enter();
          try {
            if (place !== undefined) yield* place.log.read(place.how);
          } finally {
            place?.leave();
          }
        },
        async (sink) => {
          const place = await enter();
          await place?.log.push(sink, place.how).finally(place.leave);
        },
      );
    },

    async send(input, requestId) {
      const { sessionId, createSession } = input;
      if (createSession && !live.has(sessionId) && (await store.session(sessionId)) === undefined) {
        // Two first messages at once: both may find no session, one makes it.
        await create({ sessionId }).catch((error: unknown) => {
          if (!(error instanceof CodelabError) || error.code !== 'IDEMPOTENCY_MISMATCH') throw error;
        });
      }
      return use(sessionId, (session) => session.send(input, requestId));
    },

    async run(sessionId, runId) {
      const run = await use(sessionId, () => store.run(sessionId, runId));
      if (run === undefined)
        throw new CodelabError('NOT_FOUND', `There is no run "${runId}" in the session "${sessionId}".`);
      return run;
    },

    async input(sessionId, inputId) {
      const found = await use(sessionId, () => store.input(sessionId, inputId));
      if (found === undefined)
        throw new CodelabError('NOT_FOUND', `There is no input "${inputId}" in the session "${sessionId}".`);
      return found.input;
    },

    recover() {
      evictOldEvents();
      recovering = (async () => {
        let left = await store.unfinishedSessions();
        for (;;) {
          const failed: string[] = [];
          for (const sessionId of left) {
            if (lifecycle.draining.aborted) return;
            await get(sessionId).catch((err) => {
              deps.log.error(
                { err, sessionId, event: 'session.unloadable' },
                'a session could not be loaded, trying again',
              );
              failed.push(sessionId);
            });
          }
          if (failed.length === 0) return;
          left = failed;
          await new Promise((resolve) => setTimeout(resolve, RECOVER_AGAIN_MS));
        }
      })();
      return recovering;
    },

    async stop() {
      clearInterval(evicting);
      await recovering.catch(() => {});
      await Promise.all([...live.values()].map(async (loading) => (await loading.catch(() => undefined))?.suspend()));
      await Promise.race([store.idle(), new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
    },
  };
}

function sorted(metadata: { [name: string]: string } | undefined): Array<[string, string]> | undefined {
  return metadata === undefined ? undefined : Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
}
