// The two sets of tests: `fast`, which `npm test` runs, and `all`, which `npm run test:all` and CI run. vitest itself knows `all`.

/** Files of the fast folders that take long: they wait for real limits of time, fill real buffers, or make up thousands of answers. */
export const SLOW = [
  'tests/e2e/answer-twice.test.ts',
  'tests/e2e/any-answer.test.ts',
  'tests/e2e/any-json.test.ts',
  'tests/e2e/provider-streams.test.ts',
  'tests/e2e/cannot-freeze.test.ts',
  'tests/e2e/database-away.test.ts',
  'tests/e2e/never-dropped.test.ts',
  'tests/e2e/rules-mean.test.ts',
  'tests/e2e/slow-reader.test.ts',
  'tests/e2e/socket-limits.test.ts',
  'tests/e2e/strangers.test.ts',
];

/** Those that keep something: once more on PostgreSQL. */
const STORED = [
  'any-json',
  'bad-input',
  'cancel',
  'database-away',
  'doors',
  'legacy-tools',
  'older-database',
  'openapi',
  'previews',
  'rest',
  'resume',
  'stop',
  'store',
  'tools',
  'turn',
  'two-windows',
  'unreadable',
  'who-decided',
].map((name) => `tests/e2e/${name}.test.ts`);

/** Files share the modules of their worker: importing them anew for each took a third of the time. What a file changes it puts back. */
const shared = { isolate: false };

/**
 * Returns the projects of vitest. A file whose name ends in `.slow.test.ts` is slow, too.
 * @param {{ isFast: boolean, hasPostgres: boolean, hasChaos: boolean }} options
 */
export function testProjects({ isFast, hasPostgres, hasChaos }) {
  const exclude = ['**/node_modules/**', ...(isFast ? [...SLOW, '**/*.slow.test.ts'] : [])];
  const fast = [
    {
      name: 'unit',
      include: ['packages/*/src/**/*.test.ts', 'scripts/*.test.ts'],
      exclude,
      // Some count for seconds, and a loaded machine takes several times as long.
      testTimeout: 30_000,
      ...shared,
    },
    { name: 'e2e', include: ['tests/e2e/**/*.test.ts'], exclude, testTimeout: 20_000, ...shared },
  ];
  if (isFast) return fast;
  const postgres = {
    name: 'e2e-postgres',
    include: STORED,
    testTimeout: 20_000,
    ...shared,
    env: { CODELAB_TEST_STORE: 'postgres' },
  };
  // They start whole sets of processes: one at a time, when nothing else runs.
  const alone = { fileParallelism: false, sequence: { groupOrder: 1 } };
  const processes = {
    name: 'process',
    include: ['tests/process/**/*.test.ts'],
    testTimeout: 90_000,
    hookTimeout: 90_000,
    ...alone,
  };
  const chaos = { name: 'chaos', include: ['tests/chaos/**/*.test.ts'], ...alone, sequence: { groupOrder: 2 } };
  return [...fast, ...(hasPostgres ? [postgres] : []), processes, ...(hasChaos ? [chaos] : [])];
}
