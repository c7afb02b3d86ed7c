// npm run bench -- <name>: side-by-side benchmarks. Each compares ways to do the same in one run, and prints ratios.
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

const benchmarks = {
  'llm-proxy': () => import('./llm-proxy.mjs'),
  chain: () => import('./chain.mjs'),
  against: () => import('./against.mjs'),
};
const root = fileURLToPath(new URL('..', import.meta.url));
let [name = '', ...args] = process.argv.slice(2);
// `chain --against <commit>`: the whole chain beside another commit's.
if (name === 'chain' && args[0] === '--against') [name, args] = ['against', args.slice(1)];
const load = benchmarks[name];
if (load === undefined) {
  process.stderr.write(`There is no benchmark "${name}". There are: ${Object.keys(benchmarks).join(', ')}\n`);
  process.exit(1);
}
execFileSync(process.execPath, ['node_modules/turbo/bin/turbo', 'run', 'build', '--output-logs=errors-only'], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
});
const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
const changed = git('status', '--porcelain') === '' ? '' : ', with changes';
process.stdout.write(
  `bench ${name}: commit ${git('rev-parse', '--short', 'HEAD')}${changed}, Node ${process.version}, ` +
    `${cpus().length} × ${cpus()[0].model.trim()}, everything on loopback\n\n`,
);
const { run } = await load();
await run(args);
