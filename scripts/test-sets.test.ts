import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import picomatch from 'picomatch';
import { expect, it } from 'vitest';
import { root } from './setup.mjs';
import { SLOW, testProjects } from './test-sets.mjs';

const files = ['packages', 'scripts', 'tests', 'bench']
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((path) => join(folder, String(path))))
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.test.ts') && !path.includes('/node_modules/'));

type Project = { name: string; include: string[]; exclude?: string[] };
const has = ({ include, exclude = [] }: Project, path: string) => picomatch(include, { ignore: exclude })(path);
const projectsOf = (projects: Project[], path: string) =>
  projects.filter((project) => has(project, path)).map(({ name }) => name);

const fast = testProjects({ isFast: true, hasPostgres: true, hasChaos: true });
const all = testProjects({ isFast: false, hasPostgres: true, hasChaos: true });
const once = all.filter(({ name }) => name !== 'e2e-postgres');

it('each test file is in one project of `all`, and so none is lost', () => {
  expect(files.length).toBeGreaterThan(100);
  for (const path of files) expect(projectsOf(once, path), path).toHaveLength(1);
});

it('`fast` leaves out the long ones, and nothing else', () => {
  const isLong = (path: string) =>
    /^tests\/(process|chaos)\//.test(path) || path.endsWith('.slow.test.ts') || SLOW.includes(path);
  for (const path of files) expect(projectsOf(fast, path).length, path).toBe(isLong(path) ? 0 : 1);
});

it('the files that are named exist, and each pattern has some', () => {
  for (const path of SLOW) expect(existsSync(join(root, path)), path).toBe(true);
  for (const { name, include } of all)
    for (const pattern of include) {
      const matches = picomatch(pattern);
      expect(
        files.some((path) => matches(path)),
        `${name}: ${pattern}`,
      ).toBe(true);
    }
});

it('CI runs `all`', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(scripts['test:all']).toBe('node scripts/test.mjs --all');
  expect(readFileSync(join(root, '.ci', 'run'), 'utf8')).toMatch(/^step 'tests' npm run -s test:all$/m);
});
