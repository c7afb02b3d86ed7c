import { afterAll, describe, expect, it } from 'vitest';
import { expectedOutcomes, startConversationWorld } from '../support/conversation.ts';
import { makePostgres } from '../support/database.ts';
import { type CommitFault, startFaultyCommits } from '../support/faulty-commits.ts';

/** How many commits are disturbed, spread over the conversation; all of them with `CODELAB_TEST_TIMES`. */
const ROUNDS: Record<CommitFault, number> = { fails: 12, unknown: 12, late: 4 };
const TIMES = Number(process.env.CODELAB_TEST_TIMES ?? 1);

const cleanups: Array<() => Promise<unknown>> = [];
afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe.skipIf(!process.env.TEST_DATABASE_URL)('a commit of a conversation, at any point of it', () => {
  // They wait for processes most of the time: all at once.
  it.concurrent.each<[string, CommitFault]>([
    ['fails', 'fails'],
    ['is made, and its answer is lost', 'unknown'],
    ['is later than a caller waits', 'late'],
  ])(
    'that %s: nothing is lost, nothing is done twice, and the history is valid',
    async (_, fault) => {
      const database = await makePostgres();
      cleanups.push(() => database.remove());
      const proxy = await startFaultyCommits(database.url);
      cleanups.push(() => proxy.close());
      const world = await startConversationWorld(proxy.url);
      cleanups.push(() => world.close());

      // Once undisturbed: how many commits it has.
      const before = proxy.commits;
      const undisturbed = await world.begin('undisturbed');
      expect(await undisturbed.outcomes).toEqual(expectedOutcomes);
      const commits = proxy.commits - before;
      await world.check(undisturbed.session);
      expect(commits).toBeGreaterThan(20);

      const rounds = Math.min(ROUNDS[fault] * TIMES, commits);
      let disturbed = 0;
      for (let round = 0; round < rounds; round++) {
        const at = Math.floor(((round + Math.random()) / rounds) * commits);
        proxy.disturb(fault, at);
        const { session, outcomes } = await world.begin(`round-${round}`);
        expect(await outcomes, `commit ${at} of ${commits}`).toEqual(expectedOutcomes);
        if (proxy.isDone) disturbed++;
        await world.check(session);
      }
      // A conversation has a commit more or less, as things coincide.
      expect(disturbed).toBeGreaterThanOrEqual(rounds - 2);
    },
    300_000,
  );
});
