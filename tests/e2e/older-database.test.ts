import { readFileSync } from 'node:fs';
import Sqlite from 'libsql';
import pg from 'pg';
import { afterEach, expect, it } from 'vitest';
import { migrateDown, migrateUp } from '../../packages/agent-runtime/src/store/migrate.ts';
import { openDatabase } from '../../packages/agent-runtime/src/store/open-database.ts';
import { tool } from '../../packages/sdk/src/index.ts';
import { createLogger } from '../../packages/service-kit/src/index.ts';
import { makeDatabase } from '../support/database.ts';
import { conversationOf, startFakeProvider } from '../support/fake-provider.ts';
import { startStack } from '../support/stack.ts';

type Rows = Record<string, Array<Record<string, string | number | null>>>;

/** The rows that a version with the schema 0001 left when it was killed: an answer half said, a message behind it, a call that waits for a yes. */
const rows: Rows = JSON.parse(readFileSync(new URL('../fixtures/databases/0001.json', import.meta.url), 'utf8'));

const cleanups: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A database as that version has left it. */
async function makeOlderDatabase(): Promise<string> {
  const { url, remove } = await makeDatabase();
  cleanups.push(remove);
  const log = createLogger({ service: 'test', level: 'silent' });
  const opened = await openDatabase({ url, log, onTaken: () => {} });
  await migrateUp(opened);
  for (let last = ''; last !== '0002_events'; ) [last = ''] = await migrateDown(opened);
  await opened.close();
  const statements = Object.entries(rows).flatMap(([table, all]) => all.map((row) => ({ table, row })));
  if (url.startsWith('file:')) {
    const database = new Sqlite(url.slice('file:'.length));
    for (const { table, row } of statements) {
      const names = Object.keys(row);
      database
        .prepare(`insert into ${table} (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`)
        .run(Object.values(row) as never);
    }
    database.close();
    return url;
  }
  const client = new pg.Client(url);
  await client.connect();
  for (const { table, row } of statements) {
    const names = Object.keys(row);
    await client.query(
      `insert into ${table} (${names.join(', ')}) values (${names.map((_, index) => `$${index + 1}`).join(', ')})`,
      Object.values(row),
    );
  }
  await client.end();
  return url;
}

it('a database of an older version opens, and all that was unfinished in it goes on', async () => {
  const provider = await startFakeProvider();
  cleanups.push(() => provider.close());
  const variables = { AGENT_RUNTIME__DATABASE_URL: await makeOlderDatabase() };
  const stack = await startStack({ providerUrl: provider.url, variables });
  cleanups.push(() => stack.close());
  const write = tool({
    description: 'Writes',
    input: { type: 'object' },
    kind: 'write',
    execute: async () => 'written',
  });
  const client = stack.client({ tools: { write } });

  const again = await provider.next();
  expect(conversationOf(again)).toEqual([{ role: 'user', content: 'one' }]);
  await again.text('1');
  await again.finish();
  const queued = await provider.next();
  expect(conversationOf(queued).at(-1)).toEqual({ role: 'user', content: 'two' });
  await queued.text('2');
  await queued.finish();
  const running = await client.sessions.get('running');
  expect(await running.send('two', { inputId: 'in-two' }).finished()).toMatchObject({ status: 'completed', text: '2' });
  expect((await running.items()).items.map(({ text }) => text)).toEqual(['one', '1', 'two', '2']);

  const asked = await client.sessions.create({ sessionId: 'asked' });
  const [approval] = await asked.approvals();
  expect(approval).toMatchObject({ name: 'write', arguments: { path: 'a' } });
  await asked.decide(approval?.callId ?? '', { decision: 'allow' });
  const next = await provider.next();
  expect(conversationOf(next).at(-1)).toMatchObject({ role: 'tool', content: 'written' });
  await next.finish();

  const done = await client.sessions.get('done');
  const events = [];
  for await (const event of done.events({ from: 'start' })) {
    events.push(event);
    if (event.type === 'stream.synced') break;
  }
  // What happened then has no events: its reader begins with the history.
  expect(events).toMatchObject([
    { type: 'stream.reset', items: [{ text: 'hello' }, { text: 'Hi.' }] },
    { type: 'stream.synced', state: 'idle' },
  ]);
});
