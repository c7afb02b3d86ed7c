import {
  type Approval,
  CodelabError,
  type InputSend,
  type InputSent,
  type ItemPage,
  newId,
  type Run,
  type Session,
  type SessionCreate,
  type SessionEvents,
  type SessionFork,
  type SessionItems,
  type SessionList,
  type TrackedEvent,
} from '@codelab/protocol';
import { parseCursor, toCursor } from './cursor.ts';
import { createLogBudget } from './event-log.ts';
import { hash } from './hash.ts';
import { createLiveSession } from './live-session.ts';
import { createMutex } from './mutex.ts';
import type { LiveSession, SessionDeps } from './session-types.ts';
import type { StoredSession } from './store/store.ts';

/** Sessions that nothing happens in are kept in memory up to this many. */
const MAX_LIVE = 2_000;

export interface ReadEventsOptions {
  signal: AbortSignal | undefined;
  draining: AbortSignal;
}

/** All sessions: those that are in use, in memory; the others in the store. */
export interface Sessions {
  create(input: SessionCreate): Promise<{ session: Session; replayed: boolean }>;
  /** Copies what was said up to an item into a session of its own. */
  fork(input: SessionFork): Promise<{ session: Session; replayed: boolean }>;
  list(input: SessionList): Promise<{ sessions: Session[]; nextCursor?: string }>;
  delete(sessionId: string): Promise<{ deleted: boolean }>;
  /** Throws `NOT_FOUND`. */
  get(sessionId: string): Promise<LiveSession>;
  items(input: SessionItems): Promise<ItemPage>;
  events(input: SessionEvents, options: ReadEventsOptions): AsyncGenerator<TrackedEvent, void, undefined>;
  send(input: InputSend, requestId: string): Promise<InputSent>;
  run(sessionId: string, runId: string): Promise<Run>;
  approvals(sessionId: string): Promise<Approval[]>;
  /** Takes up what an earlier process left unfinished. */
  recover(): Promise<void>;
  /** Stops every active run where it is: the next process goes on with it. */
  stop(): Promise<void>;
}

export async function createSessions(options: Omit<SessionDeps, 'budget'>): Promise<Sessions> {
  const deps: SessionDeps = { ...options, budget: createLogBudget() };
  const { store, agents, lifecycle } = deps;
  const { writes } = store;
  /** In order of use. */
  const live = new Map<string, Promise<LiveSession>>();
  const readers = new Map<string, number>();
  const mutex = createMutex();
  let lastNumber = await store.lastSessionNumber();
  let recovering = Promise.resolve();

  const get = async (sessionId: string): Promise<LiveSession> => {
    const known = live.get(sessionId);
    if (known !== undefined) {
      live.delete(sessionId);
      live.set(sessionId, known);
      return known;
    }
    const loading = load(sessionId);
    live.set(sessionId, loading);
    try {
      const session = await loading;
      if (live.size > MAX_LIVE) await evict();
      return session;
    } catch (error) {
      live.delete(sessionId);
      throw error;
    }
  };

  const load = async (sessionId: string): Promise<LiveSession> => {
    const found = await store.session(sessionId);
    if (found === undefined) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
    const session = await createLiveSession(found, deps);
    // What is unfinished while we stop is left to the next process.
    if (!lifecycle.draining.aborted) await session.resume();
    return session;
  };

  /** Lets the least recently used ones go that nobody watches and nothing happens in. */
  const evict = async (): Promise<void> => {
    for (const [sessionId, loading] of live) {
      if (live.size <= MAX_LIVE * 0.9) return;
      const session = await loading.catch(() => undefined);
      if (session?.isIdle === true && !readers.has(sessionId) && live.get(sessionId) === loading)
        live.delete(sessionId);
    }
  };

  const insert = async (stored: StoredSession, copy?: { from: string; upTo: number }): Promise<Session> => {
    const { session } = stored;
    await store.commit([
      writes.session(stored),
      ...(copy === undefined ? [] : [writes.copyItems(copy.from, session.sessionId, copy.upTo)]),
    ]);
    (await get(session.sessionId)).log.append({ type: 'session.updated', session });
    return session;
  };

  /** The session of that id, where it was made with the same values. Throws `IDEMPOTENCY_MISMATCH`. */
  const madeBefore = async (sessionId: string | undefined, createdWith: string): Promise<Session | undefined> => {
    const existing = sessionId === undefined ? undefined : await store.session(sessionId);
    if (existing === undefined || existing.createdWith === createdWith) return existing?.session;
    throw new CodelabError(
      'IDEMPOTENCY_MISMATCH',
      `The session "${sessionId}" exists, and was created with other values.`,
    );
  };

  const create: Sessions['create'] = (input) =>
    mutex(async () => {
      const { title, agent, model, project } = input;
      const createdWith = hash([title, agent, model, project, sorted(input.metadata)]);
      const before = await madeBefore(input.sessionId, createdWith);
      if (before !== undefined) return { session: before, replayed: true };
      if (agent !== undefined) agents.get(agent);
      const now = new Date();
      const session: Session = {
        sessionId: input.sessionId ?? newId('ses'),
        title: title ?? '',
        agent: agent ?? agents.list().defaultAgent,
        model: model ?? 'default',
        project: project ?? '',
        metadata: input.metadata ?? {},
        createdAt: now,
        updatedAt: now,
      };
      return { session: await insert({ session, number: ++lastNumber, createdWith, tools: [] }), replayed: false };
    });

  return {
    create,
    get,

    fork: ({ sessionId, itemId, newSessionId, title }) =>
      mutex(async () => {
        const createdWith = hash(['fork', sessionId, itemId, title]);
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
          sessionId: newSessionId ?? newId('ses'),
          title: title ?? found.session.title,
          forkedFrom: { sessionId, ...(itemId === undefined ? {} : { itemId }) },
          createdAt: now,
          updatedAt: now,
        };
        const copy = { from: sessionId, upTo: last?.position ?? Number.MAX_SAFE_INTEGER };
        return {
          session: await insert({ session, number: ++lastNumber, createdWith, tools: found.tools }, copy),
          replayed: false,
        };
      }),

    async list({ cursor, limit }) {
      const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : parseCursor(cursor);
      const found = await store.sessions({ before, limit: limit + 1 });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        sessions: page.map(({ session }) => session),
        ...(found.length > limit && last !== undefined ? { nextCursor: toCursor(last.number) } : {}),
      };
    },

    async delete(sessionId) {
      if ((await store.session(sessionId)) === undefined) return { deleted: false };
      await (await get(sessionId)).end();
      await store.commit([writes.deleteSession(sessionId)]);
      live.delete(sessionId);
      return { deleted: true };
    },

    async items({ sessionId, cursor, limit }) {
      const session = await get(sessionId);
      const { items, more } = await session.items({
        limit,
        ...(cursor === undefined ? {} : { before: parseCursor(cursor) }),
      });
      const first = items[0];
      return {
        items: items.map(({ item }) => item),
        ...(more && first !== undefined ? { nextCursor: toCursor(first.position) } : {}),
      };
    },

    async *events({ sessionId, lastEventId, from, inputId }, { signal, draining }) {
      const session = await get(sessionId);
      readers.set(sessionId, (readers.get(sessionId) ?? 0) + 1);
      try {
        const cursor =
          lastEventId == null && inputId !== undefined
            ? await session.cursorOf(inputId, AbortSignal.any([draining, ...(signal === undefined ? [] : [signal])]))
            : lastEventId;
        if (signal?.aborted) return;
        yield* session.log.read({ lastEventId: cursor, from, signal, draining });
      } finally {
        const left = (readers.get(sessionId) ?? 1) - 1;
        if (left === 0) readers.delete(sessionId);
        else readers.set(sessionId, left);
      }
    },

    async send(input, requestId) {
      const { sessionId, createSession } = input;
      if (createSession && !live.has(sessionId) && (await store.session(sessionId)) === undefined) {
        // Two first messages at once: both may find no session, one makes it.
        await create({ sessionId }).catch((error: unknown) => {
          if (!(error instanceof CodelabError) || error.code !== 'IDEMPOTENCY_MISMATCH') throw error;
        });
      }
      return (await get(sessionId)).send(input, requestId);
    },

    async run(sessionId, runId) {
      const run = await store.run((await get(sessionId)).session.sessionId, runId);
      if (run === undefined)
        throw new CodelabError('NOT_FOUND', `There is no run "${runId}" in the session "${sessionId}".`);
      return run;
    },

    approvals: async (sessionId) => (await get(sessionId)).approvals(),

    recover() {
      recovering = (async () => {
        for (const sessionId of await store.unfinishedSessions()) {
          if (lifecycle.draining.aborted) return;
          await get(sessionId).catch((err) => deps.log.error({ err, sessionId }, 'a session could not be taken up'));
        }
      })();
      return recovering;
    },

    async stop() {
      await recovering.catch(() => {});
      await Promise.all([...live.values()].map(async (loading) => (await loading.catch(() => undefined))?.suspend()));
      await Promise.race([store.idle(), new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
    },
  };
}

function sorted(metadata: { [name: string]: string } | undefined): Array<[string, string]> | undefined {
  return metadata === undefined ? undefined : Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
}
