// The first token of this commit's chain beside another commit's: `npm run bench -- against <commit>`. In turns, in one run, with the same
// provider, each through its own SDK.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { median, ms, print, quantile, root, start, startServices, stopAll, table, times, verdict } from './common.mjs';

const KEY = 'bench-key-bench-key';
const ROUNDS = 300;
const WARM_UP = 60;
/** A session's history goes to the model again with each message. */
const MESSAGES_A_SESSION = 10;
const TARGET = 1.05;

/** Builds the commit in a folder of its own, with the packages that are installed here. */
function build(commit) {
  const folder = join(mkdtempSync(join(tmpdir(), 'bench-')), 'tree');
  const git = (...args) => execFileSync('git', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  git('worktree', 'add', '--detach', folder, commit);
  cpSync(join(root, 'node_modules'), join(folder, 'node_modules'), { recursive: true, verbatimSymlinks: true });
  execFileSync(process.execPath, ['node_modules/turbo/bin/turbo', 'run', 'build', '--output-logs=errors-only'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
  });
  return {
    folder,
    remove() {
      git('worktree', 'remove', '--force', folder);
      rmSync(join(folder, '..'), { recursive: true, force: true });
    },
  };
}

/** Starts the three services of a tree. Returns how long a message takes to its first token. */
async function startChain(tree, providerUrl) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const config = `providers:\n  quick: { base_url: ${providerUrl}/4/0/v1 }\n`;
  const { url } = await startServices({ tree, folder, config, key: KEY });
  const { createClient } = await import(pathToFileURL(join(tree, 'packages', 'sdk', 'dist', 'index.js')).href);
  const client = createClient({ url, token: KEY });
  let session;
  let sent = 0;
  return {
    async first() {
      if (sent++ % MESSAGES_A_SESSION === 0) session = await client.sessions.create();
      const began = performance.now();
      let first;
      for await (const _ of session.send('Hello!').textStream) first ??= performance.now() - began;
      return first;
    },
    close: () => client.close(),
  };
}

export async function run([commit]) {
  if (commit === undefined) throw new Error('Name a commit: npm run bench -- against <commit>');
  const other = build(commit);
  try {
    const provider = start('./provider.mjs');
    const url = `http://127.0.0.1:${await provider.port}`;
    const chains = { [commit]: await startChain(other.folder, url), 'this one': await startChain(root, url) };
    const names = Object.keys(chains);
    const firsts = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < WARM_UP + ROUNDS; round++)
      for (let place = 0; place < names.length; place++) {
        const name = names[(place + round) % names.length];
        const took = await chains[name].first();
        if (round >= WARM_UP) firsts[name].push(took);
      }
    print(`First token through the whole chain, one message at a time, ${ROUNDS} in turns`);
    table([
      ['', 'p50', 'p95'],
      ...names.map((name) => [name, ms(median(firsts[name])), ms(quantile(firsts[name], 0.95))]),
    ]);
    const ratio = median(firsts['this one']) / median(firsts[commit]);
    print(`p50: ${times(ratio)} of ${commit}: ${verdict(ratio, TARGET)}`);
    for (const chain of Object.values(chains)) chain.close();
  } finally {
    stopAll();
    other.remove();
  }
}
