import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { groupGone, run } from '../support/checkout.ts';

// A test must fail at once where nothing can come any more: a hung one costs minutes, and says nothing.
it('a command that cannot be started ends at once, and says why', async () => {
  const running = run(process.execPath, ['--version'], { cwd: join(tmpdir(), 'no-such-folder') });
  await expect(running.line(/never said/)).rejects.toThrow(/could not be started in .*no-such-folder/);
  expect(await running.exited).toBeNull();
  await groupGone(running);
  expect(() => running.signalGroup('SIGKILL')).not.toThrow();
});

it('a command that has ended is not waited for', async () => {
  const running = run(process.execPath, ['-p', '"said"'], { cwd: tmpdir() });
  expect(await running.exited).toBe(0);
  expect(await running.line(/said/)).toBe('said');
  await expect(running.line(/never said/)).rejects.toThrow(/it ended without a line like \/never said\/:\nsaid/);
});
