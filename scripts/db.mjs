// `npm run db:migrate`, `npm run db:rollback`, `npm run db:new -- name`.
import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, install, root, writeEnv } from './setup.mjs';

const folder = join(root, 'packages', 'agent-runtime', 'src', 'store', 'migrations');
const [command, name] = process.argv.slice(2);

if (command === 'new') {
  if (!/^[a-z][a-z0-9_]*$/.test(name ?? '')) {
    process.stderr.write('Give the migration a name of a-z, 0-9 and _: npm run db:new -- add_labels\n');
    process.exit(1);
  }
  const known = migrationNames();
  const number = String(Number((known.at(-1) ?? '0').slice(0, 4)) + 1).padStart(4, '0');
  const file = join(folder, `${number}_${name}.ts`);
  writeFileSync(
    file,
    `import type { Migration } from 'kysely';

export const m${number}_${name}: Migration = {
  async up(db) {
    throw new Error('Not written yet: https://kysely.dev/docs/migrations');
  },

  async down(db) {
    throw new Error('Not written yet: take back what up does.');
  },
};
`,
  );
  const names = migrationNames();
  writeFileSync(
    join(folder, 'index.ts'),
    `// Written by \`npm run db:new\`: one line a file of this folder, in order.
import type { Migration } from 'kysely';
${names.map((each) => `import { m${each} } from './${each}.ts';\n`).join('')}
export const migrations: Record<string, Migration> = {
${names.map((each) => `  '${each}': m${each},\n`).join('')}};
`,
  );
  process.stdout.write(`${file}\nWrite its up and its down, then: npm run db:migrate\n`);
} else {
  install();
  writeEnv();
  build();
  const { status } = spawnSync(process.execPath, [join(root, 'packages', 'agent-runtime', 'dist', 'db.js'), command], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exit(status ?? 1);
}

function migrationNames() {
  return readdirSync(folder)
    .filter((file) => /^\d{4}_\w+\.ts$/.test(file))
    .map((file) => file.slice(0, -3))
    .sort();
}
