import { type Migration, sql } from 'kysely';
import { toSearchText } from '../search-text.ts';

/** Sessions are listed by their last use, found by their title, and know where their client works. */
export const m0003_session_list: Migration = {
  async up(db) {
    for (const column of ['search_text', 'environment'])
      await db.schema
        .alterTable('sessions')
        .addColumn(column, 'text', (c) => c.notNull().defaultTo(''))
        .execute();
    await db.schema
      .alterTable('sessions')
      .addColumn('used_at', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute();
    const { rows } = await sql<{ session_id: string; data: string }>`select session_id, data from sessions`.execute(db);
    for (const { session_id: sessionId, data } of rows) {
      const { title, usedAt } = read(data);
      await sql`update sessions set search_text = ${toSearchText(title)}, used_at = ${usedAt}
        where session_id = ${sessionId}`.execute(db);
    }
    await db.schema.createIndex('sessions_used').on('sessions').columns(['used_at', 'number']).execute();
    await db.schema
      .createIndex('sessions_project_used')
      .on('sessions')
      .columns(['project', 'used_at', 'number'])
      .execute();
  },

  async down(db) {
    for (const index of ['sessions_project_used', 'sessions_used']) await db.schema.dropIndex(index).execute();
    for (const column of ['used_at', 'environment', 'search_text'])
      await db.schema.alterTable('sessions').dropColumn(column).execute();
  },
};

/** One that cannot be read is the last of the list. */
function read(data: string): { title: string; usedAt: number } {
  try {
    const { title, updatedAt } = JSON.parse(data) as { title: unknown; updatedAt: unknown };
    const usedAt = Date.parse(String(updatedAt));
    return { title: typeof title === 'string' ? title : '', usedAt: Number.isNaN(usedAt) ? 0 : usedAt };
  } catch {
    return { title: '', usedAt: 0 };
  }
}
