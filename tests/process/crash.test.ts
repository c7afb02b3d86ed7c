import { afterAll, describe, expect, it } from 'vitest';
import { expectedOutcomes, startConversationWorld } from '../support/conversation.ts';
import { makePostgres, makeSqlite, type TestDatabase } from '../support/database.ts';

/** In CI; `CRASH_ROUNDS=30` or more finds more. */
const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 20);

const cleanups: Array<() => Promise<unknown>> = [];
afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const stores: Array<[string, () => Promise<TestDatabase>]> = [['SQLite', makeSqlite]];
if (process.env.TEST_DATABASE_URL) stores.push(['PostgreSQL', makePostgres]);

describe('kill -9 of agent-runtime', () => {
  // They wait for processes most of the time: both at once.
  it.concurrent.each(stores)(
    `loses nothing that was accepted, does nothing twice, and leaves a valid history, at ${ROUNDS} random moments, on %s`,
    async (_, makeDatabase) => {
      const database = await makeDatabase();
      cleanups.push(() => database.remove());
      const world = await startConversationWorld(database.url);
      cleanups.push(() => world.close());

      // Once without a kill: how long it takes.
      const begun = performance.now();
      const undisturbed = await world.begin('undisturbed');
      expect(await undisturbed.outcomes).toEqual(expectedOutcomes);
      const duration = performance.now() - begun;
      await world.check(undisturbed.session);

      for (let round = 0; round < ROUNDS; round++) {
        const { session, outcomes } = await world.begin(`round-${round}`);
        // Spread over the whole conversation, and random within each part.
        const moment = ((round + Math.random()) / ROUNDS) * duration;
        await new Promise((resolve) => setTimeout(resolve, moment));
        await world.restart();
        expect(await outcomes, `killed after ${Math.round(moment)} ms`).toEqual(expectedOutcomes);
        await world.check(session);
      }
    },
    300_000,
  );
});
