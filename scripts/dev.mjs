// `npm run dev`: `turbo dev` on a clone that may have nothing yet, and one that leaves nothing behind.
import { spawn } from 'node:child_process';
import { endTree, onParentGone, packageCommand } from './commands.mjs';
import { install, root, writeEnv } from './setup.mjs';

install();
writeEnv();
const { command, args } = packageCommand(root, 'turbo', ['run', 'dev', '--ui=stream']);
const turbo = spawn(command, args, {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', CODELAB_LAUNCHER_PID: String(process.pid) },
});
let asked = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    // The console of Windows has told turbo too, and `kill` would end it before it has ended what it started.
    if (process.platform !== 'win32') turbo.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
    else if (asked) endTree(turbo);
    asked = true;
  });
}
onParentGone(() => endTree(turbo));
turbo.once('error', (error) => {
  process.stderr.write(`turbo could not be started: ${error.message}\n`);
  process.exit(1);
});
turbo.once('exit', (code) => process.exit(code ?? 0));
