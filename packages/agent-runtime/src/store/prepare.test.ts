import { Kysely, SqliteDialect } from 'kysely';
import Sqlite from 'libsql';
import { expect, it } from 'vitest';
import { prepare } from './prepare.ts';

const db = new Kysely<{ t: { a: number; b: string } }>({
  dialect: new SqliteDialect({ database: new Sqlite(':memory:') as never }),
});
const build = (row: { a: number; b: string }) => db.insertInto('t').values(row).compile();

it('compiles once, and takes the values of each call', () => {
  let built = 0;
  const insert = prepare(
    (row: { a: number; b: string }) => {
      built++;
      return build(row);
    },
    (row) => Object.values(row),
  );
  const first = insert({ a: 1, b: 'x' });
  const second = insert({ a: 2, b: 'y' });
  expect([first.sql, first.parameters]).toEqual(['insert into "t" ("a", "b") values (?, ?)', [1, 'x']]);
  expect([second.sql, second.parameters]).toEqual([first.sql, [2, 'y']]);
  expect(built).toBe(1);
});

it('refuses values that stand in another order than in the statement', () => {
  const insert = prepare(build, ({ a, b }) => [b, a]);
  expect(() => insert({ a: 1, b: 'x' })).toThrow('do not stand in the order');
});
