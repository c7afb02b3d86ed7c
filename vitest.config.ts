import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { testProjects } from './scripts/test-sets.mjs';

const { CODELAB_TEST_SET, CODELAB_TEST_CHAOS, TEST_DATABASE_URL } = process.env;
const projects = testProjects({
  isFast: CODELAB_TEST_SET === 'fast',
  hasPostgres: Boolean(TEST_DATABASE_URL),
  hasChaos: Boolean(CODELAB_TEST_CHAOS),
});

export default defineConfig({
  test: {
    // They wait for processes, clocks and databases more than they compute.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    // npm run test:coverage. What runs in threads and processes of its own is not counted.
    coverage: {
      include: ['packages/*/src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/*.test-d.ts', 'packages/*/src/main.ts'],
      reporter: ['text-summary', 'html', 'json-summary'],
    },
    projects: projects.map((test) => ({ test })),
  },
});
