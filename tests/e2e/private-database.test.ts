import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'libsql';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Stack, startStack } from '../support/stack.ts';

let outer: string;
let folder: string;
let stack: Stack;
beforeEach(() => {
  outer = mkdtempSync(join(tmpdir(), 'codelab-private-'));
  folder = join(outer, 'new', '.codelab');
});
afterEach(async () => {
  await stack.close();
  rmSync(outer, { recursive: true, force: true });
});

const start = async () => {
  stack = await startStack({ variables: { AGENT_RUNTIME__DATABASE_URL: `file:${join(folder, 'kept.db')}` } });
  await stack.client().sessions.create({ sessionId: 'kept' });
};
const modes = () =>
  Object.fromEntries(
    [folder, ...readdirSync(folder).map((name) => join(folder, name))].map((path) => [
      path.slice(folder.length),
      (statSync(path).mode & 0o777).toString(8),
    ]),
  );
const sessionsIn = (file: string) => {
  const database = new Sqlite(file);
  const rows = database.prepare('select session_id from sessions').all() as Array<{ session_id: string }>;
  database.close();
  return rows.map(({ session_id }) => session_id);
};

it('the database, and what lies beside it, is for its owner alone', async () => {
  await start();
  const { '': own, ...files } = modes();
  expect(own).toBe('700');
  expect(Object.keys(files)).toEqual(
    expect.arrayContaining(['/kept.db', '/kept.db-lock', '/kept.db-shm', '/kept.db-wal']),
  );
  for (const [name, mode] of Object.entries(files)) expect([name, mode]).toEqual([name, '600']);
});

it('one that was open to others is not any more', async () => {
  await start();
  await stack.close();
  for (const name of readdirSync(folder)) chmodSync(join(folder, name), 0o644);
  chmodSync(folder, 0o755);
  await start();
  for (const [name, mode] of Object.entries(modes())) expect([name, mode]).toEqual([name, name === '' ? '700' : '600']);
});

it('a folder that was there before keeps its mode', async () => {
  folder = join(outer, 'shared');
  mkdirSync(folder, { mode: 0o755 });
  await start();
  expect(modes()).toMatchObject({ '': '755', '/kept.db': '600' });
});

it('can be copied as a file once the service has stopped, and by SQLite itself while it runs', async () => {
  await start();
  const running = new Sqlite(join(folder, 'kept.db'));
  running.prepare('vacuum into ?').run(join(outer, 'backup.db'));
  running.close();
  expect(sessionsIn(join(outer, 'backup.db'))).toEqual(['kept']);
  await stack.close();
  cpSync(join(folder, 'kept.db'), join(outer, 'copy.db'));
  expect(sessionsIn(join(outer, 'copy.db'))).toEqual(['kept']);
});
