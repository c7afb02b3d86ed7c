// `npm run dev`: `turbo dev` on a clone that may have nothing yet, and one that leaves nothing behind.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { install, onParentGone, root, writeEnv } from './setup.mjs';

install();
writeEnv();
const turbo = spawn(join(root, 'node_modules', '.bin', 'turbo'), ['run', 'dev', '--ui=stream'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', CODELAB_LAUNCHER_PID: String(process.pid) },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => turbo.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal));
onParentGone(() => turbo.kill('SIGTERM'));
turbo.once('exit', (code) => process.exit(code ?? 0));
