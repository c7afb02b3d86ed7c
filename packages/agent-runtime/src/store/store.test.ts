import { readFileSync, writeFileSync } from 'node:fs';
import { newId, noUsage, type Run, type Session, type Usage } from '@codelab/protocol';
import { createLogger } from '@codelab/service-kit';
import { CompiledQuery, type Migration, sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startCuttableProxy } from '../../../../tests/support/cuttable-proxy.ts';
import { makePostgres, makeSqlite, type TestDatabase } from '../../../../tests/support/database.ts';
import type { OpenDatabase } from './database.ts';
import { MigrationError, migrateDown, migrateUp } from './migrate.ts';
import { migrations } from './migrations/index.ts';
import { openDatabase } from './open-database.ts';
import { createStore, type StoredItem } from './store.ts';

const log = createLogger({ service: 'test', level: 'silent' });
const stores: Array<[string, () => Promise<TestDatabase>]> = [['SQLite', makeSqlite]];
if (process.env.TEST_DATABASE_URL) stores.push(['PostgreSQL', makePostgres]);

const onTaken = () => {
  throw new Error('the database was taken over');
};

const session = (sessionId: string): Session => ({
  sessionId,
  title: 'T\u0000 \ud800 🎈',
  agent: 'coder',
  model: 'default',
  project: 'p',
  metadata: { createdAt: 'not a date' },
  createdAt: new Date(1),
  updatedAt: new Date(2),
});
const item = (position: number, text: string): StoredItem => ({
  position,
  item: {
    itemId: `item-${position}`,
    runId: 'run',
    step: 1,
    kind: 'tool_call',
    text,
    status: 'completed',
    createdAt: new Date(position),
    toolCall: { callId: 'c', name: 'x', arguments: { deadline: '2020-01-01', createdAt: 'x', nul: '\u0000' } },
  },
});

describe.each(stores)('%s', (name, make) => {
  let database: TestDatabase;
  let opened: OpenDatabase;
  beforeEach(async () => {
    database = await make();
    opened = await openDatabase({ url: database.url, log, onTaken });
    await migrateUp(opened);
  });
  afterEach(async () => {
    await opened.close();
    await database.remove();
  });

  it('reads usage of an older version, which knew no cache writes', async () => {
    const store = createStore(opened, log);
    const { cacheWriteTokens: _, ...older } = noUsage;
    const usage = older as Usage;
    const run: Run = {
      runId: 'r',
      sessionId: 's',
      inputId: 'i',
      agent: 'a',
      model: 'm',
      status: 'completed',
      steps: 1,
      usage,
      startedAt: new Date(1),
    };
    const event = { type: 'run.finished' as const, runId: 'r', status: 'completed' as const, usage };
    await store.commit([
      store.statements.run({ run, attempts: 0, isCancelled: false }),
      store.statements.events('s', [{ event, seq: 1, ts: 1, bytes: 1, totalBytes: 1 }]),
    ]);
    expect((await store.run('s', 'r'))?.usage).toEqual(noUsage);
    expect(await store.events('s', { after: 0, limit: 1 })).toMatchObject([{ usage: noUsage }]);
  });

  it('gives back what it was given: any text, and dates where there were dates', async () => {
    const store = createStore(opened, log);
    const stored = { session: session('s'), number: 1, createdFingerprint: 'h', tools: [], seq: 1, eventBytes: 0 };
    await store.commit([store.statements.session(stored, 'commit'), store.statements.item('s', item(1, '\u0000 🎈'))]);
    const found = await store.session('s');
    expect(found).toEqual({ ...stored, session: { ...stored.session, title: 'T\u0000 \ud800 🎈' } });
    expect((await store.items('s', { limit: 10 })).items).toEqual([item(1, '\u0000 🎈')]);
  });

  it('what only the model sees comes back, stored under the names that older versions know', async () => {
    const store = createStore(opened, log);
    const view = { summary: 'They talked.', summarizedThrough: 3, trimmedThrough: 2 };
    const stored = { ...item(4, ''), modelOnly: { isStarted: true as const, view } };
    await store.commit([store.statements.item('s', stored), store.statements.item('s', item(5, ''))]);
    expect((await store.items('s', { limit: 2 })).items).toEqual([stored, item(5, '')]);
    const [row] = await opened.db.selectFrom('items').select('hidden').where('position', '=', 4).execute();
    expect(JSON.parse(row?.hidden ?? '')).toEqual({
      isStarted: true,
      view: { summary: 'They talked.', upTo: 3, trimmedUpTo: 2 },
    });
  });

  it('the same write twice is one', async () => {
    const store = createStore(opened, log);
    const write = store.statements.item('s', item(1, 'one'));
    await store.commit([write, write]);
    await store.commit([write]);
    expect((await store.items('s', { limit: 10 })).items).toHaveLength(1);
  });

  it('pages are limited by count and by bytes, and have at least one item', async () => {
    const store = createStore(opened, log);
    await store.commit(
      Array.from({ length: 20 }, (_, index) => store.statements.item('s', item(index + 1, 'x'.repeat(1_000)))),
    );
    const positions = async (options: { before?: number; limit: number; bytes?: number }) => {
      const { items, more } = await store.items('s', options);
      return [items.map(({ position }) => position), more];
    };
    expect(await positions({ limit: 3 })).toEqual([[18, 19, 20], true]);
    expect(await positions({ limit: 3, before: 3 })).toEqual([[1, 2], false]);
    expect(await positions({ limit: 20 })).toEqual([Array.from({ length: 20 }, (_, index) => index + 1), false]);
    expect(await positions({ limit: 20, bytes: 6_000 })).toEqual([[19, 20], true]);
    expect(await positions({ limit: 20, bytes: 1 })).toEqual([[20], true]);
  });

  it('a write that is wrong harms none of those that come with it', async () => {
    const store = createStore(opened, log);
    const wrong = store.commit([[sql`insert into no_such_table values (1)`.compile(opened.db)]]);
    const right = store.commit([store.statements.item('s', item(1, 'one'))]);
    await expect(wrong).rejects.toMatchObject({ code: 'INTERNAL' });
    await right;
    expect((await store.items('s', { limit: 10 })).items).toHaveLength(1);
  });

  it('all of a commit is there, or nothing', async () => {
    const store = createStore(opened, log);
    await expect(
      store.commit([
        store.statements.item('s', item(1, 'one')),
        [sql`insert into no_such_table values (1)`.compile(opened.db)],
      ]),
    ).rejects.toMatchObject({ code: 'INTERNAL' });
    expect((await store.items('s', { limit: 10 })).items).toEqual([]);
  });

  it('shows what was said to the query of docs/troubleshooting.md', async () => {
    const store = createStore(opened, log);
    const { item: called } = item(1, 'Привет');
    const { toolCall: _, ...said } = { ...called, kind: 'user_message' as const };
    await store.commit([store.statements.item('demo', { position: 1, item: said })]);
    const page = readFileSync(new URL('../../../../docs/troubleshooting.md', import.meta.url), 'utf8');
    const program = name === 'SQLite' ? 'sqlite3' : 'psql';
    const [, query = ''] = new RegExp(`^${program} .*"(select position[^"]+)"$`, 'm').exec(page) ?? [];
    const { rows } = await opened.db.executeQuery<Record<string, unknown>>(CompiledQuery.raw(query));
    expect(rows.map((row) => Object.values(row).map(String))).toEqual([['1', 'user_message', 'Привет']]);
  });

  it('lets nobody else in', async () => {
    await expect(openDatabase({ url: database.url, log, onTaken })).rejects.toThrow(/another (process|agent-runtime)/);
  });

  it('migrates up, down and up again, and refuses what a newer version has written', async () => {
    expect(await migrateUp(opened)).toEqual([]);
    expect(await migrateDown(opened)).toEqual(['0004_cache_writes']);
    expect(await migrateDown(opened)).toEqual(['0003_session_list']);
    expect(await migrateDown(opened)).toEqual(['0002_events']);
    expect(await migrateDown(opened)).toEqual(['0001_sessions']);
    expect(await migrateUp(opened)).toEqual(['0001_sessions', '0002_events', '0003_session_list', '0004_cache_writes']);
    await sql`insert into kysely_migration (name, timestamp) values ('9999_future', '2030-01-01')`.execute(opened.db);
    await expect(migrateUp(opened)).rejects.toThrow(/newer version[\s\S]*9999_future/);
  });

  it.each(['3F000', '42P01', '42703', 'XX000'])(
    'looks again where what it looked at was dropped meanwhile: %s',
    async (code) => {
      let queries = 0;
      const db = opened.db.withPlugin({
        transformQuery({ node }) {
          // The first reads what has been applied, the second is the migrator's first look.
          if (++queries === 2) throw Object.assign(new Error('dropped by another'), { code });
          return node;
        },
        transformResult: async ({ result }) => result,
      });
      expect(await migrateUp({ ...opened, db })).toEqual([]);
      expect(queries).toBeGreaterThan(2);
    },
  );

  it('says which migration failed, by its file, and whether it was written at all', async () => {
    // As scripts/db.mjs makes them.
    const unwritten = {
      up: () => Promise.reject(new Error('Not written yet: https://kysely.dev/docs/migrations')),
      down: () => Promise.reject(new Error('Not written yet: take back what up does.')),
    };
    const broken: Migration = { ...unwritten, up: (db) => sql`drop table no_such_table`.execute(db).then(() => {}) };
    const known = (migration: Migration) => ({ ...migrations, '0999_mine': migration });
    const failureOf = async (done: Promise<unknown>) => {
      const error = await done.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(MigrationError);
      return error as MigrationError;
    };
    const file = 'packages/agent-runtime/src/store/migrations/0999_mine.ts';
    const up = await failureOf(migrateUp(opened, known(unwritten)));
    expect([up.isUnwritten, up.message]).toEqual([
      true,
      `${file}: its \`up\` is not written yet. Write it (https://kysely.dev/docs/migrations) and try again, or delete the file and its two lines in index.ts.`,
    ]);
    const other = await failureOf(migrateUp(opened, known(broken)));
    expect(other.isUnwritten).toBe(false);
    expect(other.message).toMatch(`${file}: its \`up\` failed: `);
    expect(other.message).toContain('no_such_table');
    expect(await migrateUp(opened, known({ ...unwritten, up: async () => {} }))).toEqual(['0999_mine']);
    const down = await failureOf(migrateDown(opened, known(unwritten)));
    expect(down.message).toContain(`${file}: its \`down\` is not written yet.`);
  });

  it('many commits at once are few transactions, in the order of the calls', async () => {
    const store = createStore(opened, log);
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 500 }, (_, index) =>
        store.commit([store.statements.item('s', item(index + 1, newId('x')))]).then(() => order.push(index)),
      ),
    );
    expect(order).toEqual(order.map((_, index) => index));
    expect(await store.lastPosition('s')).toBe(500);
  });
});

describe('an SQLite file', () => {
  it('that is full refuses what does not fit, says so, and takes it when there is room', async () => {
    const database = await makeSqlite();
    const opened = await openDatabase({ url: database.url, log, onTaken });
    await migrateUp(opened);
    const store = createStore(opened, log);
    // Of the connection that writes.
    const room = (pages: number) => [CompiledQuery.raw(`pragma max_page_count = ${pages}`)];
    await store.commit([room(60)]);
    const large = store.statements.item('s', item(1, 'x'.repeat(1_000_000)));
    await expect(store.commit([large], { deadlineMs: 1_500 })).rejects.toMatchObject({
      code: 'OVERLOADED',
      message: expect.stringContaining('its disk is full'),
    });
    await store.commit([room(100_000)]);
    await store.commit([large]);
    expect((await store.items('s', { limit: 1 })).items).toHaveLength(1);
    await opened.close();
    await database.remove();
  });

  it('that is none is not touched', async () => {
    const database = await makeSqlite();
    writeFileSync(database.url.slice('file:'.length), 'hello '.repeat(1_000));
    await expect(openDatabase({ url: database.url, log, onTaken })).rejects.toThrow(/not an SQLite database/);
    await database.remove();
  });
});

it('a PostgreSQL that is not there is said to be so, without its password', async () => {
  const url = 'postgres://me:sesame@127.0.0.1:1/x';
  const failure = await openDatabase({ url, log, onTaken }).catch((error: Error) => error.message);
  expect(failure).toMatch(/127\.0\.0\.1:1\/x: .*ECONNREFUSED/);
  expect(failure).not.toContain('sesame');
});

/** A log that tells the events of its lines. */
function listen() {
  const events: string[] = [];
  const destination = { write: (line: string) => void events.push(JSON.parse(line).event) };
  return { events, log: createLogger({ service: 'test', level: 'info', destination }) };
}

it('a PostgreSQL that is not there yet is waited for, and given up when its time is over', async () => {
  const { events, log } = listen();
  const url = 'postgres://127.0.0.1:1/x';
  await expect(openDatabase({ url, log, onTaken, waitMs: 100, retryMs: 20 })).rejects.toThrow(/ECONNREFUSED/);
  expect(new Set(events)).toEqual(new Set(['database.wait']));
});

describe.skipIf(!process.env.TEST_DATABASE_URL)('a start', () => {
  it('goes on once PostgreSQL is there, with the same database and no other', async () => {
    const database = await makePostgres();
    const proxy = await startCuttableProxy(database.url);
    const comes = proxy.goAway();
    const url = Object.assign(new URL(database.url), { host: new URL(proxy.url).host }).href;
    const { events, log } = listen();
    const opening = openDatabase({ url, log, onTaken, waitMs: 20_000, retryMs: 20 });
    await expect.poll(() => events).toContain('database.wait');
    comes();
    await (await opening).close();
    expect(events.at(-1)).toBe('database.reached');
    await proxy.close();
    await database.remove();
  });

  it('with a wrong address of the database waits for nothing', async () => {
    const { events, log } = listen();
    const url = Object.assign(new URL(process.env.TEST_DATABASE_URL ?? ''), { pathname: '/no_such_database' }).href;
    await expect(openDatabase({ url, log, onTaken, waitMs: 20_000 })).rejects.toThrow(/no_such_database/);
    expect(events).toEqual([]);
  });
});
