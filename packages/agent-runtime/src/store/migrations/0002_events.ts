import { type Migration, sql } from 'kysely';

/** Events move into the database. What happened before is not among them: its readers begin anew. */
export const m0002_events: Migration = {
  async up(db) {
    await db.schema
      .alterTable('sessions')
      .addColumn('last_seq', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute();
    await db.schema.alterTable('sessions').addColumn('last_commit', 'text').execute();
    await db.schema
      .alterTable('sessions')
      .addColumn('event_bytes', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute();
    // Over all numbers that were given before: those were counted in memory, from 16 times the milliseconds on.
    await sql`update sessions set last_seq = ${Date.now() * 16}`.execute(db);

    await db.schema
      .createTable('session_events')
      .addColumn('session_id', 'text', (c) => c.notNull())
      .addColumn('seq', 'bigint', (c) => c.notNull())
      .addColumn('ts', 'bigint', (c) => c.notNull())
      .addColumn('bytes', 'integer', (c) => c.notNull())
      .addColumn('total_bytes', 'bigint', (c) => c.notNull())
      .addColumn('data', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('session_events_pk', ['session_id', 'seq'])
      .execute();
    await sql`create index items_open on items (session_id, position) where open = 1`.execute(db);
    await db.schema.createIndex('session_events_ts').on('session_events').column('ts').execute();
  },

  async down(db) {
    await db.schema.dropTable('session_events').execute();
    await db.schema.dropIndex('items_open').execute();
    for (const column of ['event_bytes', 'last_commit', 'last_seq'])
      await db.schema.alterTable('sessions').dropColumn(column).execute();
  },
};
