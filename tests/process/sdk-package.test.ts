import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
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
  // For those who bring a tRPC client of their own.
  await mkdir(join(folder, 'node_modules/@trpc'));
  for (const name of ['@trpc/client', '@trpc/server', 'superjson'])
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
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

it('has what a published package has', async () => {
  const packed = join(folder, 'node_modules/@codelab/sdk');
  expect(await readFile(join(packed, 'README.md'), 'utf8')).toContain('# @codelab/sdk');
  expect(await readFile(join(packed, 'LICENSE'), 'utf8')).toBe(await readFile(join(root, 'LICENSE'), 'utf8'));
  const manifest = JSON.parse(await readFile(join(packed, 'package.json'), 'utf8'));
  expect(manifest).toMatchObject({ publishConfig: { access: 'public' }, repository: { directory: 'packages/sdk' } });
  for (const field of ['homepage', 'keywords', 'bugs', 'license', 'description']) expect(manifest[field]).toBeTruthy();
});

it('names each source map once', async () => {
  const dist = join(folder, 'node_modules/@codelab/sdk/dist');
  const files = await readdir(dist);
  const code = files.filter((file) => /\.c?js$/.test(file));
  expect(code.length).toBeGreaterThan(4);
  for (const file of code) {
    const named = (await readFile(join(dist, file), 'utf8')).match(/^\/\/# sourceMappingURL=.*$/gm);
    expect(named).toEqual([`//# sourceMappingURL=${file}.map`]);
    expect(files).toContain(`${file}.map`);
  }
});

/** Compiles files of the folder. Returns what the compiler says. */
async function compile(files: string[], options: object): Promise<string> {
  const compilerOptions = { strict: true, exactOptionalPropertyTypes: true, types: [], target: 'es2022', ...options };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const compiled = exec(process.execPath, [tsc, '-p', '.'], { cwd: folder });
  return (await compiled.catch((error) => error)).stdout;
}

it('has types for node10, as older extensions resolve them', async () => {
  await writeFile(
    join(folder, 'older.ts'),
    `import { createClient } from '@codelab/sdk';
import { workspaceTools } from '@codelab/sdk/node';
import type { AppRouter } from '@codelab/sdk/router';
export const client = createClient({ url: 'http://localhost:8000', tools: workspaceTools({ folder: '.' }) });
export type Route = AppRouter['_def']['router'];
// @ts-expect-error: it is typed, and not any
client.unknown;
`,
  );
  const options = { noEmit: true, module: 'commonjs', moduleResolution: 'node10', lib: ['es2022', 'dom'] };
  expect(await compile(['older.ts'], { ...options, ignoreDeprecations: '6.0' })).toBe('');
});

it("gives gateway's router to a tRPC client of one's own", async () => {
  await writeFile(
    join(folder, 'trpc.mts'),
    `import type { AppRouter } from '@codelab/sdk/router';
import { createTRPCClient, httpLink, httpSubscriptionLink, splitLink, TRPCClientError } from '@trpc/client';
import superjson from 'superjson';
declare const process: { env: Record<string, string>; exit(): never };
const options = { url: process.env['URL'] + '/trpc', transformer: superjson };
const headers = { authorization: 'Bearer ' + process.env['TOKEN'] };
const trpc = createTRPCClient<AppRouter>({
  links: [
    splitLink({
      condition: ({ type }) => type === 'subscription',
      true: httpSubscriptionLink({ ...options, url: options.url + '?token=' + process.env['TOKEN'] }),
      false: httpLink({ ...options, headers }),
    }),
  ],
});
const { session } = await trpc.session.create.mutate({ sessionId: 'by-trpc', model: 'builtin/echo' });
const isDate: Date = session.createdAt;
const { defaultAgent } = await trpc.agent.list.query();
const failure: unknown = await trpc.session.get.query({ sessionId: 'nobody' }).catch((error) => error);
const code = failure instanceof TRPCClientError ? (failure as TRPCClientError<AppRouter>).data?.code : undefined;
// @ts-expect-error: the title is a text
const wrong = () => trpc.session.create.mutate({ title: 1 });
// @ts-expect-error: there is no such procedure
const missing = () => trpc.session.unknown.query();
const watched = () => trpc.session.events.subscribe({ sessionId: 'by-trpc' }, {
  onData: ({ id, data }) => (data.type === 'item.delta' ? data.text : id),
});
console.log(JSON.stringify({ id: session.sessionId, isDate: isDate instanceof Date, defaultAgent, code, kinds: [typeof wrong, typeof missing, typeof watched] }));
`,
  );
  const lib = ['es2022', 'dom', 'dom.asynciterable'];
  const options = { module: 'nodenext', outDir: 'built', lib, skipLibCheck: true };
  expect(await compile(['trpc.mts'], options)).toBe('');
  const { stdout } = await exec(process.execPath, ['built/trpc.mjs'], {
    cwd: folder,
    env: { PATH: process.env.PATH, URL: stack.gateway.url, TOKEN: keys.gateway },
    timeout: 20_000,
  });
  expect(JSON.parse(stdout)).toMatchObject({
    id: 'by-trpc',
    isDate: true,
    defaultAgent: 'orchestrator',
    code: 'NOT_FOUND',
  });
});

it('its types stand alone, for ESM and CommonJS', async () => {
  for (const extension of ['mts', 'cts']) {
    await writeFile(
      join(folder, `check.${extension}`),
      `import { CodelabError, createClient, tool, type TrackedSessionEvent } from '@codelab/sdk';
import { workspaceTools } from '@codelab/sdk/node';
import type { AppRouter } from '@codelab/sdk/router';
export type Procedures = AppRouter['_def']['record'];
const token: string | undefined = undefined;
const own = tool({ description: 'x', input: { type: 'object' }, execute: ({ path }) => String(path) });
export async function check(error: unknown): Promise<string> {
  const client = createClient({ url: 'http://localhost:8000', token, tools: { ...workspaceTools({ folder: '.' }), own } });
  const session = await client.sessions.create();
  session.onApproval(({ kind }) => (kind === 'write' ? { decision: 'allow', scope: 'session' } : undefined));
  for await (const event of session.events()) { const e: TrackedSessionEvent = event; if (e.type === 'item.delta') return e.text; }
  return error instanceof CodelabError && error.code === 'NOT_FOUND' ? (await session.send('x').finished()).text : '';
}
`,
    );
  }
  const options = { noEmit: true, skipLibCheck: false, lib: ['es2022', 'dom'], module: 'nodenext' };
  expect(await compile(['check.mts', 'check.cts'], options)).toBe('');
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
