import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keys, type Stack, startStack } from '../support/stack.ts';

const exec = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
let stack: Stack;

/** A project of somebody else's: it has the packed SDK and its one dependency, and nothing of this repository. */
beforeAll(async () => {
  stack = await startStack();
  folder = await mkdtemp(join(tmpdir(), 'codelab-sdk-'));
  const { stdout } = await exec('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: join(root, 'packages/sdk'),
  });
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('[')));
  const target = join(folder, 'node_modules/@codelab/sdk');
  await mkdir(target, { recursive: true });
  await exec('tar', ['-xzf', join(folder, filename), '--strip-components=1', '-C', target]);
  await symlink(join(root, 'node_modules/ws'), join(folder, 'node_modules/ws'));
});
afterAll(async () => {
  await stack.close();
  await rm(folder, { recursive: true, force: true });
});

const program = (load: string) => `
${load}
const main = async () => {
  const client = createClient({ url: process.env.URL, token: process.env.TOKEN });
  const session = await client.sessions.create({ model: 'builtin/echo' });
  let text = '';
  for await (const token of session.send('из пакета').textStream) text += token;
  const failed = await client.sessions.get('no-such-session').catch((error) => error);
  console.log(JSON.stringify({ text, ours: failed instanceof CodelabError, code: failed.code }));
  client.close();
};
main();
`;

it.each([
  ['ESM', 'program.mjs', "import { createClient, CodelabError } from '@codelab/sdk';"],
  ['CommonJS', 'program.cjs', "const { createClient, CodelabError } = require('@codelab/sdk');"],
])('works as %s, and lets the process end', async (_, file, load) => {
  await writeFile(join(folder, file), program(load));
  const { stdout } = await exec(process.execPath, [file], {
    cwd: folder,
    env: { PATH: process.env.PATH, URL: stack.gateway.url, TOKEN: keys.gateway },
    timeout: 20_000,
  });
  expect(JSON.parse(stdout)).toEqual({ text: 'You said: из пакета', ours: true, code: 'NOT_FOUND' });
});

it('runs the tools of a folder', async () => {
  await writeFile(
    join(folder, 'tools.cjs'),
    `const { workspaceTools } = require('@codelab/sdk/node');
const { read_file } = workspaceTools({ folder: '.' });
read_file.run({ path: 'tools.cjs', start_line: 1, end_line: 1 }, {}).then((text) => console.log(text));`,
  );
  const { stdout } = await exec(process.execPath, ['tools.cjs'], { cwd: folder });
  expect(stdout).toContain('workspaceTools');
});

it.each(['index.js', 'index.cjs', 'browser.js'])('%s has no server code and imports nothing but ws', async (file) => {
  const code = await readFile(join(folder, 'node_modules/@codelab/sdk/dist', file), 'utf8');
  const imports = [...code.matchAll(/^import .* from ['"]([^'"]+)['"]|\brequire\(['"]([^'"]+)['"]\)/gm)].map(
    (match) => match[1] ?? match[2],
  );
  expect(imports).toEqual(file === 'browser.js' ? [] : ['ws']);
  for (const server of ['initTRPC', 'createCaller', 'fastify', 'createServer', 'process.env.', 'ZodObject'])
    expect(code).not.toContain(server);
});

it('its types stand alone, for ESM and CommonJS', async () => {
  for (const extension of ['mts', 'cts']) {
    await writeFile(
      join(folder, `check.${extension}`),
      `import { CodelabError, createClient, tool, type TrackedSessionEvent } from '@codelab/sdk';
import { workspaceTools } from '@codelab/sdk/node';
const own = tool({ description: 'x', input: { type: 'object' }, execute: ({ path }) => String(path) });
export async function check(error: unknown): Promise<string> {
  const client = createClient({ url: 'http://localhost:8000', tools: { ...workspaceTools({ folder: '.' }), own } });
  const session = await client.sessions.create();
  session.onApproval(({ kind }) => (kind === 'write' ? { decision: 'allow', scope: 'session' } : undefined));
  for await (const event of session.events()) { const e: TrackedSessionEvent = event; if (e.type === 'item.delta') return e.text; }
  return error instanceof CodelabError && error.code === 'NOT_FOUND' ? (await session.send('x').finished()).text : '';
}
`,
    );
  }
  const compilerOptions = {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: [],
    lib: ['es2022', 'dom'],
    target: 'es2022',
    module: 'nodenext',
  };
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['check.mts', 'check.cts'] }),
  );
  const compiled = exec(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: folder });
  expect((await compiled.catch((error) => error)).stdout).toBe('');
});

it('npm run chat talks through it', async () => {
  const chat = execFile(process.execPath, ['scripts/chat.mjs'], {
    cwd: root,
    env: { ...process.env, CODELAB_URL: stack.gateway.url, CODELAB_TOKEN: keys.gateway },
  });
  let said = '';
  chat.stdout?.on('data', (text) => {
    said += text;
  });
  chat.stdin?.write('Привет из чата\n\n');
  const code = await new Promise((resolve) => chat.once('close', resolve));
  expect(said).toContain('You said: Привет из чата');
  expect(code).toBe(0);
});
