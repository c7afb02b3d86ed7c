import type { Migration } from 'kysely';

/** What a step wrote to the provider's cache. It was not kept before: those steps have 0. */
export const m0004_cache_writes: Migration = {
  async up(db) {
    await db.schema
      .alterTable('steps')
      .addColumn('cache_write_tokens', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute();
  },

  async down(db) {
    await db.schema.alterTable('steps').dropColumn('cache_write_tokens').execute();
  },
};
