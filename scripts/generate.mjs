// Writes what is made from the contract: the types of the SDK, and the tables of PROTOCOL.md. With --check it only tells whether they are.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'tsup';
import { packageCommand } from './commands.mjs';
import { protocolTables } from './protocol-tables.mjs';
import { sdkTypes } from './sdk-types.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const TYPES = 'packages/sdk/src/types.ts';
const PROTOCOL = 'PROTOCOL.md';

const read = (/** @type {string} */ path) => readFileSync(join(root, path), 'utf8');

/**
 * Returns the exports of `packages/protocol`: Node 20 runs no TypeScript, so they are built for this once.
 * @returns {Promise<typeof import('../packages/protocol/src/index.ts')>}
 */
async function loadProtocol() {
  // Below node_modules, as it imports zod from there.
  const outDir = join(root, 'node_modules', '.cache', `codelab-generate-${process.pid}`);
  try {
    await build({
      entry: { protocol: join(root, 'packages/protocol/src/index.ts') },
      outDir,
      format: ['esm'],
      target: 'node20',
      external: ['zod'],
      config: false,
      silent: true,
      outExtension: () => ({ js: '.mjs' }),
    });
    return await import(pathToFileURL(join(outDir, 'protocol.mjs')).href);
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

/** Returns the text as `npm run format` would leave it. @param {string} path @param {string} text */
function formatted(path, text) {
  const { command, args } = packageCommand(root, '@biomejs/biome', ['format', `--stdin-file-path=${path}`]);
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, input: text, encoding: 'utf8' });
  if (status !== 0) throw new Error(`Biome does not take ${path}:\n${stderr}`);
  return stdout;
}

const protocol = await loadProtocol();
const files = {
  [TYPES]: formatted(TYPES, sdkTypes(protocol)),
  [PROTOCOL]: formatted(PROTOCOL, protocolTables(protocol, read(PROTOCOL))),
};
for (const [path, text] of Object.entries(files)) {
  if (read(path) === text) continue;
  if (process.argv.includes('--check')) {
    process.stderr.write(`${path} is not what the contract says: npm run generate\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(join(root, path), text);
    process.stdout.write(`${path} is written anew.\n`);
  }
}
