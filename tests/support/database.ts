import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'libsql';
import pg from 'pg';

/** A database of its own, empty. */
export interface TestDatabase {
  /** For `AGENT_RUNTIME__DATABASE_URL`. */
  url: string;
  remove(): Promise<void>;
}

/** Keeps everybody else from writing to the database, reading goes on. The result lets them again. */
export async function holdWrites(url: string): Promise<() => Promise<void>> {
  if (url.startsWith('file:')) {
    const database = new Sqlite(url.slice('file:'.length));
    database.exec('begin immediate');
    return async () => {
      database.exec('rollback');
      database.close();
    };
  }
  const client = new pg.Client(url);
  await client.connect();
  await client.query('begin');
  await client.query('lock table sessions, inputs, runs, items, approvals in exclusive mode');
  return () => client.end();
}

/** SQLite in a new folder, or a schema of its own in PostgreSQL, as the test project says. */
export function makeDatabase(): Promise<TestDatabase> {
  return process.env.CODELAB_TEST_STORE === 'postgres' ? makePostgres() : makeSqlite();
}

export async function makeSqlite(): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'codelab-'));
  return {
    url: `file:${join(folder, 'agent-runtime.db')}`,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export async function makePostgres(): Promise<TestDatabase> {
  const server = process.env.TEST_DATABASE_URL;
  if (server === undefined) throw new Error('TEST_DATABASE_URL is not set');
  const schema = `codelab_${randomBytes(6).toString('hex')}`;
  const query = async (statement: string) => {
    const client = new pg.Client(server);
    await client.connect();
    await client.query(statement);
    await client.end();
  };
  await query(`create schema ${schema}`);
  const url = new URL(server);
  url.searchParams.set('options', `-c search_path=${schema}`);
  return { url: url.href, remove: () => query(`drop schema ${schema} cascade`) };
}

/** Changes a database by hand, while no service uses it. */
export async function changeDatabase(url: string, statement: string): Promise<void> {
  if (url.startsWith('file:')) {
    const database = new Sqlite(url.slice('file:'.length));
    database.exec(statement);
    database.close();
    return;
  }
  const client = new pg.Client(url);
  await client.connect();
  await client.query(statement);
  await client.end();
}
