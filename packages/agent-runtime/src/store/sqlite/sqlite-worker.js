// Writes one SQLite file, in a thread of its own, so that waiting for the disk does not block the event loop. Gets {id, statements: [{sql, parameters, expectRows?}]}, answers
// {id} or {id, error: {message, code}}. Plain JavaScript, because a thread of Node 20 takes nothing else.
import { parentPort, workerData } from 'node:worker_threads';
import Sqlite from 'libsql';

const database = new Sqlite(workerData.path, { timeout: 1000 });
database.exec('pragma synchronous = full');

const prepared = new Map();
const prepare = (sql) => {
  let statement = prepared.get(sql);
  if (statement === undefined) {
    statement = database.prepare(sql);
    prepared.set(sql, statement);
  }
  return statement;
};
const begin = database.prepare('begin immediate');
const commit = database.prepare('commit');

function transact(statements) {
  begin.run();
  try {
    for (const { sql, parameters, expectRows } of statements) {
      const { changes } = prepare(sql).run(parameters);
      if (expectRows !== undefined && changes !== expectRows)
        throw Object.assign(new Error('another commit came between'), { code: 'CONFLICT' });
    }
    commit.run();
  } catch (error) {
    // SQLite rolls some transactions back by itself.
    if (database.inTransaction) database.exec('rollback');
    throw error;
  }
}

parentPort.on('message', ({ id, statements }) => {
  try {
    transact(statements);
    parentPort.postMessage({ id });
  } catch ({ message, code }) {
    parentPort.postMessage({ id, error: { message, code } });
  }
});
