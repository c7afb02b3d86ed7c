import fc from 'fast-check';

/** So many examples of each property; `CODELAB_TEST_EXAMPLES` makes it more. */
const EXAMPLES = Number(process.env.CODELAB_TEST_EXAMPLES ?? 40);

/**
 * Checks a property on random examples. A failure shows the smallest example, and the variables that replay it:
 * `CODELAB_TEST_SEED`, and `CODELAB_TEST_PATH` for that example alone.
 */
export async function holds<T>(
  examples: fc.Arbitrary<T>,
  property: (example: T) => Promise<void> | void,
  numRuns = EXAMPLES,
): Promise<void> {
  const { CODELAB_TEST_SEED: seed, CODELAB_TEST_PATH: path } = process.env;
  const result = await fc.check(
    fc.asyncProperty(examples, async (example) => property(example)),
    { numRuns, ...(seed === undefined ? {} : { seed: Number(seed) }), ...(path === undefined ? {} : { path }) },
  );
  if (!result.failed) return;
  const replay = `Replay with CODELAB_TEST_SEED=${result.seed} CODELAB_TEST_PATH=${result.counterexamplePath}.`;
  const { errorInstance: error } = result;
  const why = error instanceof Error ? error.message : String(error);
  throw new Error(`${why}\n\n${replay}\nThe smallest example: ${fc.stringify(result.counterexample)}`, {
    cause: error,
  });
}
