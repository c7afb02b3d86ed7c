import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SettingsError } from './env.ts';
import type { Logger } from './logger.ts';
import { watchConfig } from './watch-file.ts';

let folder: string;
let watcher: { close(): void } | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'watch-'));
});
afterEach(() => {
  watcher?.close();
  rmSync(folder, { recursive: true });
});

it('applies each version that is right, logs one that is wrong, and passes over one that says the same', async () => {
  const file = join(folder, 'x.json');
  const logged: object[] = [];
  const note = (fields: object) => void logged.push(fields);
  const applied: string[] = [];
  let text = 'first';
  const read = vi.fn(() => {
    if (text === 'wrong') throw new SettingsError(['it is wrong']);
    if (text === 'broken') throw new Error('broken');
    return text === 'same' ? undefined : text;
  });
  const save = async (next: string) => {
    text = next;
    const calls = read.mock.calls.length;
    writeFileSync(file, next);
    await vi.waitFor(() => expect(read.mock.calls.length).toBeGreaterThan(calls), 5_000);
  };
  writeFileSync(file, text);
  watcher = watchConfig([file], {
    name: 'the test',
    read,
    apply: (config) => ({ length: applied.push(config) }),
    toLogFields: () => ({ failure: 'hidden' }),
    log: { info: note, error: note } as unknown as Logger,
  });
  expect(applied).toEqual(['first']);
  for (const next of ['wrong', 'broken', 'same', 'second']) await save(next);
  expect(applied).toEqual(['first', 'second']);
  expect(logged).toEqual([
    { path: file, mistakes: ['it is wrong'], event: 'config.rejected' },
    { path: file, failure: 'hidden', event: 'config.rejected' },
    { path: file, length: 2, event: 'config.reloaded' },
  ]);
});

it('notices a file that is made later, in any of its places', async () => {
  const [near, far] = [join(folder, 'near.json'), join(folder, 'far.json')];
  const reloaded: string[] = [];
  const apply = vi.fn((_config: number) => ({}));
  let version = 0;
  watcher = watchConfig([near, far], {
    name: 'the test',
    read: () => ++version,
    apply,
    log: { info: ({ path }: { path: string }) => void reloaded.push(path) } as unknown as Logger,
  });
  expect(apply).toHaveBeenCalledTimes(1);
  writeFileSync(far, '');
  await vi.waitFor(() => expect(reloaded).toEqual([far]), 5_000);
  writeFileSync(near, '');
  await vi.waitFor(() => expect(reloaded).toEqual([far, near]), 5_000);
});

it('throws what is wrong with the first version, and follows nothing where there is no file', () => {
  const read = () => {
    throw new SettingsError(['it is wrong']);
  };
  const log = {} as Logger;
  expect(() => watchConfig([], { name: 'x', read, apply: () => ({}), log })).toThrow('it is wrong');
  const apply = vi.fn(() => ({}));
  watchConfig([], { name: 'x', read: () => 1, apply, log }).close();
  expect(apply).toHaveBeenCalledWith(1);
});
