// After `npm install`: git uses .githooks. Not a failure where there is no git.
import { spawnSync } from 'node:child_process';

spawnSync('git', ['config', 'core.hooksPath', '.githooks'], { stdio: 'ignore' });
