// Writes what is made from the contract and from the schemas of the settings. With --check it only tells whether all of it is written.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'tsup';
import { packageCommand } from './commands.mjs';
import { eventSchema } from './event-schema.mjs';
import { protocolTables } from './protocol-tables.mjs';
import { sdkTypes } from './sdk-types.mjs';
import { envExample, settingsPage } from './settings.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const TYPES = 'packages/sdk/src/types.ts';
const EVENT_SCHEMA = 'packages/sdk/schema/session-event.schema.json';
const PROTOCOL = 'PROTOCOL.md';
const SETTINGS = 'docs/settings.md';
const ENV_EXAMPLE = '.env.example';

/** @param {string} path */
function read(path) {
  const file = join(root, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/**
 * Returns the exports of sources, by the names that `entry` gives them: Node 20 runs no TypeScript, so they are built for this once.
 * @param {Record<string, string>} entry paths from the root
 * @returns {Promise<Record<string, any>>}
 */
async function load(entry) {
  // Below node_modules, as they import packages from there.
  const outDir = join(root, 'node_modules', '.cache', `codelab-generate-${process.pid}`);
  try {
    await build({
      entry: Object.fromEntries(Object.entries(entry).map(([name, path]) => [name, join(root, path)])),
      outDir,
      format: ['esm'],
      target: 'node20',
      noExternal: [/^@codelab\//],
      external: [/^[^./]/],
      treeshake: true,
      config: false,
      silent: true,
      outExtension: () => ({ js: '.mjs' }),
    });
    const modules = Object.keys(entry).map(async (name) => [
      name,
      await import(pathToFileURL(join(outDir, `${name}.mjs`)).href),
    ]);
    return Object.fromEntries(await Promise.all(modules));
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

const SERVICES = ['gateway', 'agent-runtime', 'llm-proxy'];
const { protocol, jsonSchemas, ...modules } = await load({
  protocol: 'packages/protocol/src/index.ts',
  jsonSchemas: 'packages/service-kit/src/openapi/json-schemas.ts',
  ...Object.fromEntries(SERVICES.map((name) => [name, `packages/${name}/src/env.ts`])),
});
const settings = Object.fromEntries(SERVICES.map((name) => [name, modules[name].SETTINGS]));
const files = {
  [SETTINGS]: formatted(SETTINGS, settingsPage(settings)),
  [ENV_EXAMPLE]: envExample(settings, read(ENV_EXAMPLE)),
  [TYPES]: formatted(TYPES, sdkTypes(protocol)),
  [EVENT_SCHEMA]: formatted(EVENT_SCHEMA, eventSchema(protocol, jsonSchemas)),
  [PROTOCOL]: formatted(
    PROTOCOL,
    protocolTables(protocol, read(PROTOCOL), (source) => formatted('protocol.ts', source)),
  ),
};
for (const [path, text] of Object.entries(files)) {
  if (read(path) === text) continue;
  if (process.argv.includes('--check')) {
    process.stderr.write(`${path} is not what the sources say: npm run generate\n`);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    process.stdout.write(`${path} is written anew.\n`);
  }
}
