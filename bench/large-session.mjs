// Puts a session of many items into a database that agent-runtime has not opened yet.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import Database from 'libsql';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The conversation was last summarised so many items before its end. */
const SINCE_SUMMARY = 40;

export function makeLargeSession(file, sessionId, count) {
  execFileSync(process.execPath, ['packages/agent-runtime/dist/db.js', 'migrate'], {
    cwd: root,
    env: { ...process.env, AGENT_RUNTIME__DATABASE_URL: `file:${file}` },
  });
  const database = new Database(file);
  const createdAt = new Date();
  const session = {
    sessionId,
    title: 'large',
    agent: 'orchestrator',
    model: 'default',
    project: '',
    metadata: {},
    createdAt,
    updatedAt: createdAt,
  };
  database
    .prepare('insert into sessions (session_id, number, project, created_with, data, tools) values (?, 1, ?, ?, ?, ?)')
    .run(sessionId, '', '', JSON.stringify(session), '[]');
  const insert = database.prepare(
    'insert into items (session_id, position, item_id, kind, open, bytes, data, hidden) values (?, ?, ?, ?, 0, ?, ?, ?)',
  );
  database.exec('begin');
  for (let position = 1; position <= count; position++) {
    const isSummary = position === count - SINCE_SUMMARY;
    const kind = isSummary ? 'compaction' : position % 2 === 0 ? 'assistant_message' : 'user_message';
    const item = {
      itemId: `item_${position}`,
      runId: `run_${Math.ceil(position / 2)}`,
      step: kind === 'assistant_message' ? 1 : 0,
      kind,
      text: isSummary ? 'They talked.' : `This is what was said as number ${position}, ${'and so on, '.repeat(8)}`,
      status: 'completed',
      createdAt,
    };
    const hidden = isSummary
      ? JSON.stringify({ view: { summary: 'They talked.', upTo: position, trimmedUpTo: position } })
      : null;
    insert.run(sessionId, position, item.itemId, kind, 300 + item.text.length * 2, JSON.stringify(item), hidden);
  }
  database.exec('commit');
  database.close();
}
