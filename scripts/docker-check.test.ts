import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { root } from './setup.mjs';

const isWindows = process.platform === 'win32';

it.skipIf(isWindows)('without Docker and podman it says what is missing, and leaves nothing behind', async () => {
  const programs = mkdtempSync(join(tmpdir(), 'codelab-programs-'));
  const temporary = mkdtempSync(join(tmpdir(), 'codelab-temporary-'));
  try {
    for (const name of ['git', 'chown', 'which']) {
      const found = (process.env.PATH ?? '').split(delimiter).find((folder) => readdirOf(folder).includes(name));
      if (found !== undefined) symlinkSync(join(found, name), join(programs, name));
    }
    const running = promisify(execFile)(process.execPath, [join(root, 'scripts', 'docker-check.mjs')], {
      env: { PATH: programs, TMPDIR: temporary },
    });
    await expect(running).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringContaining('docker:check failed'),
      stderr: expect.stringMatching(/^There is no Docker with Compose, and for podman podman is missing: .*\n$/),
    });
    expect(readdirSync(temporary)).toEqual([]);
  } finally {
    for (const folder of [programs, temporary]) rmSync(folder, { recursive: true, force: true });
  }
});

function readdirOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
