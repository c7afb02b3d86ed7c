import fc from 'fast-check';

/** So many times the examples of each property. */
const TIMES = Number(process.env.CODELAB_TEST_TIMES ?? 1);

/**
 * Checks a property on examples that are the same in every run; `CODELAB_TEST_SEED` takes others, and
 * `CODELAB_TEST_TIMES` so many times as many. A failure shows the smallest example, and what replays it:
 * the seed, and `CODELAB_TEST_PATH` for that example alone.
 */
export async function holds<T>(
  examples: fc.Arbitrary<T>,
  property: (example: T) => Promise<void> | void,
  numRuns = 40,
): Promise<void> {
  const { CODELAB_TEST_SEED: seed = '1', CODELAB_TEST_PATH: path } = process.env;
  const result = await fc.check(
    fc.asyncProperty(examples, async (example) => property(example)),
    { numRuns: numRuns * TIMES, seed: Number(seed), ...(path === undefined ? {} : { path }) },
  );
  if (!result.failed) return;
  const replay = `Replay with CODELAB_TEST_SEED=${result.seed} CODELAB_TEST_PATH=${result.counterexamplePath}.`;
  const { errorInstance: error } = result;
  const why = error instanceof Error ? error.message : String(error);
  throw new Error(`${why}\n\n${replay}\nThe smallest example: ${fc.stringify(result.counterexample)}`, {
    cause: error,
  });
}
