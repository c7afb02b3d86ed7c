import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // They wait for processes, clocks and databases more than they compute.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'scripts/*.test.ts'],
          // Some count for seconds, and a loaded machine takes several times as long.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['tests/e2e/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      // Whatever keeps something, once more on PostgreSQL.
      ...(process.env.TEST_DATABASE_URL
        ? [
            {
              test: {
                name: 'e2e-postgres',
                include: [
                  'tests/e2e/{any-json,bad-input,cancel,database-away,doors,legacy-tools,older-database,openapi,rest,resume,stop,store,tools,turn,two-windows,unreadable,who-decided}.test.ts',
                ],
                testTimeout: 20_000,
                env: { CODELAB_TEST_STORE: 'postgres' },
              },
            },
          ]
        : []),
      ...(process.env.CODELAB_TEST_CHAOS ? [{ test: { name: 'chaos', include: ['tests/chaos/**/*.test.ts'] } }] : []),
      {
        test: {
          name: 'process',
          include: ['tests/process/**/*.test.ts'],
          testTimeout: 90_000,
          hookTimeout: 90_000,
          // They start whole sets of processes: one at a time, when nothing else runs.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
