import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { allSnippets, commandsIn } from '../../scripts/snippets.mjs';
import { keys, type Stack, startStack } from '../support/stack.ts';

const exec = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, '.codelab', `snippets-${process.pid}`);
const variables = {
  GATEWAY__INTERNAL_API_KEY: keys.gateway,
  AGENT_RUNTIME__INTERNAL_API_KEY: keys.runtime,
  LLM_PROXY__INTERNAL_API_KEY: keys.llmProxy,
};

/** Commands that are not run here, and why. */
const RUN_ELSEWHERE: Array<[pattern: RegExp, reason: string]> = [
  [/^npm (start|test)$/, 'tests/process/start.test.ts, and CI itself'],
  [/^npm start -w packages\//, 'tests/process/alone.test.ts'],
  [/^npm install @codelab\/sdk$/, 'tests/process/sdk-package.test.ts installs what npm pack makes'],
  [/^npm run db:(migrate|rollback)$/, 'tests/process/start.test.ts and packages/agent-runtime/src/store/store.test.ts'],
  [/^set -a; \. \.\/\.env; set \+a$/, 'the keys are in the environment here'],
  [/^(docker compose|cp \.env\.example \.env$|\.\/pull_model_docker\.sh)/, 'npm run docker:check'],
  [/^sqlite3 /, 'needs its program, which is in no package here'],
  [/^psql /, 'needs its program and a database of that name'],
  [/^redis-cli /, 'needs its program and a Redis'],
  [/^rm -f \.codelab\//, 'would remove the sessions of the checkout'],
];

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
  await mkdir(folder, { recursive: true });
});
afterAll(async () => {
  await stack.close();
  await rm(folder, { recursive: true, force: true });
});

/** Returns code with the addresses of the stack in place of the documented ones. */
function here(code: string): string {
  const urls: Record<string, string> = { 8000: stack.gateway.url, 8001: stack.runtime.url, 8002: stack.llmProxy.url };
  return code.replace(/(http|ws):\/\/localhost:(800[012])/g, (_, scheme, port) =>
    (urls[port] as string).replace('http', scheme),
  );
}

const shell = allSnippets(['bash', 'sh']).flatMap(({ path, code }) =>
  commandsIn(code).map((command) => ({ path, command })),
);

describe('commands in documents', () => {
  it.each(shell.filter(({ command }) => command.startsWith('curl ')))('$path: $command', async ({ command }) => {
    const { stdout } = await exec('bash', ['-c', `${here(command)} -sS -w '\n%{http_code}'`], {
      env: { PATH: process.env.PATH, ...variables },
    });
    expect(stdout).toMatch(/\n200$/);
    expect(stdout).not.toContain('"error"');
    if (command.includes('-N')) expect(stdout).toContain('data: [DONE]');
  });

  it('are all run, here or elsewhere, and each npm script exists', async () => {
    const rest = shell.filter(({ command }) => !command.startsWith('curl '));
    const unknown = rest.filter(({ command }) => !RUN_ELSEWHERE.some(([pattern]) => pattern.test(command)));
    expect(unknown).toEqual([]);
    const unused = RUN_ELSEWHERE.filter(([pattern]) => !rest.some(({ command }) => pattern.test(command)));
    expect(unused).toEqual([]);
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const named = rest.flatMap(({ command }) => /^npm run ([\w:-]+)/.exec(command)?.slice(1) ?? []);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });
});

/** Runs a module with the addresses of the stack and the sources of the SDK. */
async function run(name: string, code: string): Promise<void> {
  const sources = { '@codelab/sdk/node': 'node/index.ts', '@codelab/sdk': 'index.ts' };
  let own = here(code);
  for (const [specifier, file] of Object.entries(sources))
    own = own.replaceAll(`'${specifier}'`, `'${pathToFileURL(join(root, 'packages/sdk/src', file)).href}'`);
  const file = join(folder, name);
  await writeFile(file, own);
  await import(pathToFileURL(file).href);
}

describe('programs in documents', () => {
  const first = (path: string, sign: string) => {
    const found = allSnippets(['ts', 'js']).find((snippet) => snippet.path === path && snippet.code.includes(sign));
    return found?.code ?? '';
  };

  it.each(['README.md', 'README.ru.md', 'packages/sdk/README.md'])(
    '%s: the first one streams an answer',
    async (path) => {
      vi.stubEnv('CODELAB_TOKEN', keys.gateway);
      const said: string[] = [];
      const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => said.push(String(text)) > 0);
      const log = vi.spyOn(console, 'log').mockImplementation((...values) => void said.push(values.join(' ')));
      try {
        await run(`${path.replace(/\W/g, '-')}.ts`, first(path, 'run.textStream'));
      } finally {
        out.mockRestore();
        log.mockRestore();
        vi.unstubAllEnvs();
      }
      expect(said.join('')).toContain('You said: ');
      if (path !== 'packages/sdk/README.md') expect(said.at(-1)).toContain('run.finished');
    },
  );

  it('the SDK is asked by a tRPC client of its own', async () => {
    await run(
      'trpc.ts',
      `${first('packages/sdk/README.md', 'createTRPCClient')}\nif (sessions.length === 0) throw new Error('none');`,
    );
  });

  it.each(['README.md', 'README.ru.md'])('%s: a WebSocket without the SDK', async (path) => {
    const code = first(path, 'new WebSocket');
    const frames: Array<{ token?: string; is_final?: boolean }> = [];
    const log = vi.spyOn(console, 'log').mockImplementation((frame) => void frames.push(frame));
    const name = `ws-${path.replace(/\W/g, '-')}.mjs`;
    // Node 20 has no WebSocket of its own.
    await run(name, `import { WebSocket } from 'ws';\n${code}\nglobalThis.closeSnippet = () => ws.close();`);
    try {
      await vi.waitFor(() => expect(frames.at(-1)).toMatchObject({ is_final: true }), 10_000);
    } finally {
      log.mockRestore();
      (globalThis as { closeSnippet?: () => void }).closeSnippet?.();
    }
    expect(frames.map(({ token }) => token).join('')).toContain('You said: ');
  });
});
