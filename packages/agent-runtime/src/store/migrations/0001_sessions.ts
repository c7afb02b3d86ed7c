import { type Migration, sql } from 'kysely';

export const m0001_sessions: Migration = {
  async up(db) {
    await db.schema
      .createTable('sessions')
      .addColumn('session_id', 'text', (c) => c.primaryKey())
      .addColumn('number', 'bigint', (c) => c.notNull().unique())
      .addColumn('project', 'text', (c) => c.notNull())
      .addColumn('created_with', 'text', (c) => c.notNull())
      .addColumn('data', 'text', (c) => c.notNull())
      .addColumn('tools', 'text', (c) => c.notNull())
      .execute();

    await db.schema
      .createTable('inputs')
      .addColumn('session_id', 'text', (c) => c.notNull())
      .addColumn('input_id', 'text', (c) => c.notNull())
      .addColumn('position', 'bigint', (c) => c.notNull())
      .addColumn('status', 'text', (c) => c.notNull())
      .addColumn('run_id', 'text')
      .addColumn('sent_with', 'text', (c) => c.notNull())
      .addColumn('request_id', 'text', (c) => c.notNull())
      .addColumn('event_id', 'text', (c) => c.notNull())
      .addColumn('data', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('inputs_pk', ['session_id', 'input_id'])
      .execute();
    // Few inputs wait at any time, among many that were delivered.
    await sql`create index inputs_queued on inputs (session_id, position) where status = 'queued'`.execute(db);

    await db.schema
      .createTable('runs')
      .addColumn('run_id', 'text', (c) => c.primaryKey())
      .addColumn('session_id', 'text', (c) => c.notNull())
      .addColumn('status', 'text', (c) => c.notNull())
      .addColumn('resumes', 'integer', (c) => c.notNull())
      .addColumn('data', 'text', (c) => c.notNull())
      .execute();
    await db.schema.createIndex('runs_session').on('runs').column('session_id').execute();
    await sql`create index runs_running on runs (session_id) where status = 'running'`.execute(db);

    await db.schema
      .createTable('items')
      .addColumn('session_id', 'text', (c) => c.notNull())
      .addColumn('position', 'bigint', (c) => c.notNull())
      .addColumn('item_id', 'text', (c) => c.notNull())
      .addColumn('kind', 'text', (c) => c.notNull())
      .addColumn('open', 'integer', (c) => c.notNull())
      .addColumn('bytes', 'integer', (c) => c.notNull())
      .addColumn('data', 'text', (c) => c.notNull())
      .addColumn('hidden', 'text')
      .addPrimaryKeyConstraint('items_pk', ['session_id', 'position'])
      .execute();
    await db.schema.createIndex('items_id').on('items').columns(['session_id', 'item_id']).unique().execute();
    await sql`create index items_compaction on items (session_id, position) where kind = 'compaction'`.execute(db);

    await db.schema
      .createTable('steps')
      .addColumn('run_id', 'text', (c) => c.notNull())
      .addColumn('step', 'integer', (c) => c.notNull())
      .addColumn('session_id', 'text', (c) => c.notNull())
      .addColumn('model', 'text', (c) => c.notNull())
      .addColumn('input_tokens', 'bigint', (c) => c.notNull())
      .addColumn('output_tokens', 'bigint', (c) => c.notNull())
      .addColumn('cached_tokens', 'bigint', (c) => c.notNull())
      .addColumn('reasoning_tokens', 'bigint', (c) => c.notNull())
      .addColumn('cost_usd', 'double precision')
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('steps_pk', ['run_id', 'step'])
      .execute();
    await db.schema.createIndex('steps_session').on('steps').column('session_id').execute();

    await db.schema
      .createTable('approvals')
      .addColumn('session_id', 'text', (c) => c.notNull())
      .addColumn('call_id', 'text', (c) => c.notNull())
      .addColumn('pending', 'integer', (c) => c.notNull())
      .addColumn('decided_with', 'text')
      .addColumn('data', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('approvals_pk', ['session_id', 'call_id'])
      .execute();

    await db.schema
      .createTable('rules')
      .addColumn('rule_id', 'text', (c) => c.primaryKey())
      .addColumn('session_id', 'text')
      .addColumn('project', 'text')
      .addColumn('data', 'text', (c) => c.notNull())
      .execute();
    await db.schema.createIndex('rules_session').on('rules').column('session_id').execute();
    await db.schema.createIndex('rules_project').on('rules').column('project').execute();

    await db.schema
      .createTable('results')
      .addColumn('session_id', 'text', (c) => c.notNull())
      .addColumn('result_id', 'text', (c) => c.notNull())
      .addColumn('data', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('results_pk', ['session_id', 'result_id'])
      .execute();
  },

  async down(db) {
    for (const table of ['results', 'rules', 'approvals', 'steps', 'items', 'runs', 'inputs', 'sessions'])
      await db.schema.dropTable(table).execute();
  },
};
