import {
  ApprovalDecide,
  ApprovalPreview,
  CodelabError,
  type CompletionChunk,
  type CompletionMessage,
  type CompletionRequest,
  type FileChange,
  InputSend,
  type Item,
  type NewSessionEvent,
  noUsage,
  type SessionEvent,
} from '@codelab/protocol';
import { createLifecycle, createLogger } from '@codelab/service-kit';
import fc from 'fast-check';
import { Kysely, SqliteDialect } from 'kysely';
import Sqlite from 'libsql';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Agents } from '../agents/agents.ts';
import type { LlmClient, LlmStreamOptions } from '../model/llm-client.ts';
import { Conflict, type Statement } from '../store/commit-queue.ts';
import { migrateUp } from '../store/migrate.ts';
import type { Database } from '../store/schema.ts';
import { createStore, type Store } from '../store/store.ts';
import { createToolRegistry } from '../tools/tool-registry.ts';
import { createSessionMetrics } from './session-metrics.ts';
import { createSessionRegistry, type SessionRegistry } from './session-registry.ts';

const SESSION = 'told';
const log = createLogger({ service: 'test', level: 'silent' });

/**
 * What may happen to a commit: it fails before it is made, is made and its answer is lost, comes late, never can be made, or the database is
 * away for some.
 */
const faults = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.constant('none' as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'before' as const,
        'after' as const,
        'late' as const,
        'away' as const,
        'broken' as const,
      ),
    },
  ),
  { maxLength: 60 },
);
type Fault = 'none' | 'before' | 'after' | 'late' | 'away' | 'broken';

/** What a message makes the model do: say something, or call tools first; some answers break off once. */
const plans = fc.constantFrom('say', 'look', 'change', 'both', 'breaks');
const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('send' as const),
        plan: plans,
        whenBusy: fc.constantFrom('queue' as const, 'steer' as const, 'interrupt' as const),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('cancelInput' as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('decide' as const), yes: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('preview' as const), path: fc.constantFrom('a', 'b') }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('result' as const), decides: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const) }) },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 15, 60, 500, 5_000) }),
    },
  ),
  { minLength: 1, maxLength: 25 },
);

class Lost extends Error {
  readonly code = 'ECONNRESET';
}

/** One process after the other on one database. */
async function createWorld(script: Fault[]) {
  const database = new Sqlite(':memory:');
  const db = new Kysely<Database>({ dialect: new SqliteDialect({ database: database as never }) });
  await migrateUp({ db, schema: undefined });
  let faultAt = 0;
  let awayUntil = 0;
  let isHealed = false;
  let epoch = 0;
  let asked = 0;

  const run = (statements: Statement[]) => {
    database.exec('begin');
    try {
      for (const { sql, parameters, expectRows } of statements) {
        const { changes } = database.prepare(sql).run(parameters as never);
        if (expectRows !== undefined && changes !== expectRows) throw new Conflict('another commit came between');
      }
      database.exec('commit');
    } catch (error) {
      database.exec('rollback');
      throw error;
    }
  };
  const transactOf = (own: number) => async (statements: Statement[]) => {
    // A process that was killed writes nothing any more.
    const dead = () => own !== epoch;
    if (dead()) return new Promise<never>(() => {});
    if (!isHealed && Date.now() < awayUntil) throw new Lost('away');
    const fault = isHealed ? 'none' : (script[faultAt++] ?? 'none');
    if (fault === 'away') awayUntil = Date.now() + 6_000;
    if (fault === 'broken') throw Object.assign(new Error('it never can be stored'), { code: 'SQLITE_CONSTRAINT' });
    if (fault === 'before' || fault === 'away') throw new Lost('before');
    if (fault === 'late') await new Promise((resolve) => setTimeout(resolve, 5_000));
    if (dead()) return new Promise<never>(() => {});
    run(statements);
    if (fault === 'after') throw new Lost('after');
  };

  /** Does what the newest message says, with what it was given. */
  async function* answer(
    { messages }: CompletionRequest,
    { signal }: LlmStreamOptions,
  ): AsyncGenerator<CompletionChunk, void, undefined> {
    const own = epoch;
    const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
    const last = messages.findLastIndex(({ role }) => role === 'user');
    const plan = String((messages[last] as CompletionMessage).content);
    const hasResults = messages.slice(last).some(({ role }) => role === 'tool');
    const breaks = plan.startsWith('breaks') && asked++ % 2 === 0;
    const chunks: CompletionChunk[] = [
      { type: 'start', model: 'm', provider: 'p' },
      { type: 'text', text: `${plan}: ` },
    ];
    if (breaks)
      chunks.push({
        type: 'error',
        error: { code: 'PROVIDER_STREAM_LOST', message: 'lost', retryable: true, requestId: 'r' },
      });
    else {
      const tools = hasResults ? [] : toolsOf(plan);
      for (const [index, name] of tools.entries()) chunks.push({ type: 'tool_call', index, name, arguments: '{}' });
      if (tools.length === 0) chunks.push({ type: 'text', text: 'done' });
      chunks.push({ type: 'usage', usage: { ...noUsage, outputTokens: 1 } });
      chunks.push({ type: 'finish', finishReason: tools.length > 0 ? 'tool_calls' : 'stop' });
    }
    for (const chunk of chunks) {
      await pause();
      if (signal.aborted) return;
      if (own !== epoch) return new Promise<never>(() => {}) as never;
      yield chunk;
    }
  }
  const llm: LlmClient = {
    stream(request, options) {
      const chunks = answer(request, options);
      const first = chunks.next();
      return {
        async each(onChunk) {
          for (let { done, value } = await first; !done; { done, value } = await chunks.next())
            onChunk(value as CompletionChunk);
        },
        drop() {},
      };
    },
    models: async () => ({ models: [], defaultModel: 'm' }),
    close() {},
  };
  const agent = { name: 'a', description: '', prompt: '', rules: [] };
  const agents: Agents = {
    list: () => ({ agents: [agent], defaultAgent: 'a' }),
    get: () => agent,
    find: () => agent,
    close() {},
  };
  const schemas = {
    validateSchema: async () => undefined,
    validateArguments: async () => undefined,
    warmUp() {},
    close: async () => {},
  };
  const registry = createToolRegistry({
    maxTools: 100,
    server: [],
    mcp: { tools: () => [], unusable: () => [], standIn: () => undefined },
    schemas,
  });
  const start = async (): Promise<{ sessions: SessionRegistry; store: Store; draining: AbortSignal }> => {
    const store = createStore({ db, transact: transactOf(epoch) }, log);
    const lifecycle = createLifecycle();
    const sessions = await createSessionRegistry({
      store,
      llm,
      agents,
      registry,
      log,
      lifecycle,
      metrics: createSessionMetrics(new Registry()),
      settings: {
        model: 'm',
        maxSteps: 20,
        stepRetries: 3,
        storeTimeoutMs: 30_000,
        liveSessions: 10,
        toolTimeoutMs: 3_600_000,
        approvalTimeoutMs: 3_600_000,
        clientTimeoutMs: 3_600_000,
        graceMs: 3_600_000,
        contextWindow: 100_000,
        eventsMaxBytes: 64 * 1024 * 1024,
        eventsMaxAgeMs: 1e12,
      },
    });
    return { sessions, store, draining: lifecycle.draining };
  };
  let process = await start();
  return {
    get sessions() {
      return process.sessions;
    },
    get draining() {
      return process.draining;
    },
    async kill() {
      epoch++;
      process = await start();
      void process.sessions.recover();
    },
    heal() {
      isHealed = true;
    },
    rows: <T>(sql: string) => database.prepare(sql).all() as T[],
    close: () => database.close(),
  };
}
type World = Awaited<ReturnType<typeof createWorld>>;

function toolsOf(plan: string): string[] {
  if (plan.startsWith('both')) return ['look', 'change'];
  return plan.startsWith('look') ? ['look'] : plan.startsWith('change') ? ['change'] : [];
}

const tools = ['look', 'change'].map((name) => ({
  name,
  description: '',
  inputSchema: { type: 'object' as const },
  kind: name === 'look' ? ('read' as const) : ('write' as const),
}));

/** Follows the session through every death of its process, and holds what it is shown against PROTOCOL.md. */
function createWatcher() {
  const items = new Map<string, Item>();
  const open = new Set<string>();
  const ended: string[] = [];
  let lastEventId: string | null = null;
  let stop = new AbortController();
  const show = (event: SessionEvent) => {
    switch (event.type) {
      case 'stream.reset':
        items.clear();
        open.clear();
        for (const item of event.items) {
          items.set(item.itemId, item);
          if (item.status === 'in_progress') open.add(item.itemId);
        }
        break;
      case 'item.started':
        expect(items.has(event.item.itemId), `${event.item.itemId} begins once`).toBe(false);
        items.set(event.item.itemId, event.item);
        open.add(event.item.itemId);
        break;
      case 'item.delta': {
        const item = items.get(event.itemId) as Item;
        expect(event.offset, `${event.itemId} has no gap`).toBe(item.text.length);
        items.set(event.itemId, { ...item, text: item.text + event.text });
        break;
      }
      case 'item.completed':
        expect(open.delete(event.item.itemId), `${event.item.itemId} ends once`).toBe(true);
        items.set(event.item.itemId, event.item);
        break;
      case 'item.discarded':
        expect(open.delete(event.itemId), `${event.itemId} is given up once`).toBe(true);
        items.delete(event.itemId);
        break;
      case 'run.finished':
        ended.push(event.runId);
    }
  };
  return {
    items,
    open,
    ended,
    failure: undefined as unknown,
    follow(world: World) {
      stop.abort();
      stop = new AbortController();
      const { signal } = stop;
      const read = async () => {
        const events = world.sessions.events(
          { sessionId: SESSION, lastEventId, from: 'start' },
          { signal, draining: world.draining },
        );
        for await (const { id, event } of events) {
          if (signal.aborted) return;
          lastEventId = id;
          show(event);
        }
      };
      read().catch((error) => {
        if (!signal.aborted && !(error instanceof CodelabError)) this.failure ??= error;
      });
    },
    stop() {
      stop.abort();
    },
  };
}

async function play(
  actions: Array<{
    do: string;
    plan?: string;
    whenBusy?: 'queue';
    ms?: number;
    yes?: boolean;
    decides?: boolean;
    path?: string;
  }>,
  script: Fault[],
) {
  const world = await createWorld(script);
  const watcher = createWatcher();
  const accepted = new Set<string>();
  const tried = new Set<string>();
  const results = new Map<string, number>();
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
  /** Waits for an answer, and lets the time pass that it takes. */
  const settled = async <T>(work: Promise<T>): Promise<T | CodelabError> => {
    let outcome: { value: T | CodelabError } | undefined;
    work.then(
      (value) => {
        outcome = { value };
      },
      (error) => {
        outcome = { value: error };
      },
    );
    for (let waited = 0; outcome === undefined && waited < 120_000; waited += 50) await pass(50);
    if (outcome === undefined) throw new Error('it waits for ever');
    const { value } = outcome as { value: T | CodelabError };
    if (value instanceof Error && !(value instanceof CodelabError)) throw value;
    return value;
  };
  const again = async (work: () => Promise<unknown>) => {
    for (let attempt = 0; attempt < 20; attempt++) {
      const value = await settled(work());
      if (!(value instanceof CodelabError)) return value;
      if (value.code !== 'OVERLOADED') return value;
    }
    throw new Error('it never was accepted');
  };
  const session = () => world.sessions;
  await again(() => session().create({ sessionId: SESSION }));
  await again(() => session().use(SESSION, (live) => live.announce({ sessionId: SESSION, clientId: 'ide', tools })));
  watcher.follow(world);

  const openCalls = () =>
    session()
      .use(SESSION, (live) => live.items({ limit: 200 }))
      .then(({ items }) =>
        items.filter(({ item }) => item.kind === 'tool_call' && item.status === 'in_progress').map(({ item }) => item),
      );
  const giveResults = async (decides: boolean) => {
    const calls = await settled(openCalls());
    for (const item of calls instanceof CodelabError ? [] : calls) {
      const value = await settled(
        session().use(SESSION, (live) =>
          live.toolResult({ sessionId: SESSION, callId: item.itemId, result: `result of ${item.itemId}`, decides }),
        ),
      );
      if (!(value instanceof CodelabError) && !value.replayed)
        results.set(item.itemId, (results.get(item.itemId) ?? 0) + 1);
    }
  };
  const decideAll = async (yes: boolean) => {
    const approvals = await settled(session().use(SESSION, (live) => live.approvals()));
    for (const { callId } of approvals instanceof CodelabError ? [] : approvals)
      await settled(
        session().use(SESSION, (live) =>
          live.decide(ApprovalDecide.parse({ sessionId: SESSION, callId, decision: yes ? 'allow' : 'reject' })),
        ),
      );
  };

  /** The changes that were accepted last of each call; undefined where nobody knows. */
  const foreseen = new Map<string, string | undefined>();
  const foreseeAll = async (path: string) => {
    const approvals = await settled(session().use(SESSION, (live) => live.approvals()));
    for (const { callId } of approvals instanceof CodelabError ? [] : approvals) {
      const changes = [{ path, change: 'create', hunks: [] }];
      const preview = ApprovalPreview.parse({ sessionId: SESSION, callId, clientId: 'ide', changes });
      const value = await settled(session().use(SESSION, (live) => live.preview(preview)));
      if (!(value instanceof CodelabError)) foreseen.set(callId, path);
      else if (value.code === 'OVERLOADED') foreseen.set(callId, undefined);
    }
  };

  for (const [index, action] of actions.entries()) {
    switch (action.do) {
      case 'send': {
        const inputId = `in${index}`;
        tried.add(inputId);
        const input = InputSend.parse({
          sessionId: SESSION,
          inputId,
          content: `${action.plan} ${index}`,
          whenBusy: action.whenBusy,
        });
        const value = await settled(session().send(input, 'r'));
        if (!(value instanceof CodelabError)) accepted.add(inputId);
        break;
      }
      case 'cancel':
        await settled(session().use(SESSION, (live) => live.cancelRun(undefined, 'r')));
        break;
      case 'cancelInput':
        for (const inputId of tried) await settled(session().use(SESSION, (live) => live.cancelInput(inputId)));
        break;
      case 'decide':
        await decideAll(action.yes === true);
        break;
      case 'preview':
        await foreseeAll(action.path ?? '');
        break;
      case 'result':
        await giveResults(action.decides === true);
        break;
      case 'kill':
        watcher.stop();
        await world.kill();
        watcher.follow(world);
        break;
      default:
        await pass(action.ms ?? 0);
    }
  }
  world.heal();
  for (let round = 0; round < 60; round++) {
    await pass(3_000);
    await decideAll(true);
    await giveResults(false);
    const isOver =
      world.rows("select 1 from runs where status = 'running' union select 1 from inputs where status = 'queued'")
        .length === 0;
    if (isOver && round > 3) break;
  }
  await pass(1_000);
  watcher.stop();
  return { world, watcher, accepted, tried, results, foreseen };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const TIMES = Number(process.env.CODELAB_TEST_TIMES ?? 1);

it(
  'whatever is sent, decided and stopped, and whichever commit fails: nothing is lost, done twice, or shown wrong',
  async () => {
    await fc.assert(
      fc.asyncProperty(steps, faults, async (actions, script) => {
        const { world, watcher, accepted, tried, results, foreseen } = await play(actions as never, script);
        try {
          if (watcher.failure !== undefined) throw watcher.failure;
          const rows = <T>(sql: string) => world.rows<T>(sql);
          const inputs = rows<{ input_id: string; status: string; run_id: string | null }>('select * from inputs');
          const items = rows<{ item_id: string; data: string; open: number }>(
            'select * from items order by position',
          ).map(({ data }) => JSON.parse(data) as Item);
          const events = rows<{ seq: number; data: string }>('select seq, data from session_events order by seq');
          const told = events.map(
            ({ data }) => JSON.parse(data) as { itemId?: string; event?: { json: NewSessionEvent } },
          );
          const ends = told.flatMap(({ event }) => (event?.json.type === 'run.finished' ? event.json.runId : []));
          const runs = rows<{ run_id: string; status: string }>('select * from runs');

          expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
          for (const inputId of accepted) expect(inputs.map(({ input_id }) => input_id)).toContain(inputId);
          for (const { input_id: inputId, status } of inputs) {
            expect(tried.has(inputId)).toBe(true);
            expect(status).not.toBe('queued');
            const said = items.filter((item) => item.kind === 'user_message' && item.inputId === inputId);
            expect([inputId, said.length]).toEqual([inputId, status === 'delivered' ? 1 : 0]);
          }
          expect(runs.filter(({ status }) => status === 'running')).toEqual([]);
          expect([...ends].sort()).toEqual(runs.map(({ run_id }) => run_id).sort());
          expect(rows('select * from approvals where pending = 1')).toEqual([]);
          for (const item of items) {
            expect([item.itemId, item.status]).not.toEqual([item.itemId, 'in_progress']);
            expect(told.filter(({ itemId }) => itemId === item.itemId)).toHaveLength(1);
            if (item.kind === 'tool_call') expect(item.toolCall?.outcome).toBeDefined();
          }
          for (const [callId, times] of results) expect([callId, times]).toEqual([callId, 1]);
          // The changes of an approval are the ones that were told last.
          for (const { call_id: callId, data } of rows<{ call_id: string; data: string }>('select * from approvals')) {
            const { changes } = JSON.parse(data) as { changes?: FileChange[] };
            const updates = told.flatMap(({ event }) => {
              return event?.json.type === 'approval.updated' && event.json.callId === callId
                ? [event.json.changes]
                : [];
            });
            expect([callId, changes]).toEqual([callId, updates.at(-1)]);
            const path = foreseen.get(callId);
            if (path !== undefined) expect([callId, changes?.[0]?.path]).toEqual([callId, path]);
          }
          // The watcher has been shown what is stored.
          expect([...watcher.open]).toEqual([]);
          expect(watcher.ended).toEqual(ends);
          const shown = [...watcher.items.values()].map(({ itemId, text, status }) => ({ itemId, text, status }));
          const stored = items.map(({ itemId, text, status }) => ({ itemId, text, status }));
          const byId = (a: { itemId: string }, b: { itemId: string }) => (a.itemId < b.itemId ? -1 : 1);
          expect(shown.sort(byId)).toEqual(stored.sort(byId));
        } finally {
          world.close();
        }
      }),
      { numRuns: 150 * TIMES, seed: Number(process.env.CODELAB_TEST_SEED ?? 1), endOnFailure: TIMES > 1 },
    );
  },
  60_000 + 240_000 * TIMES,
);
