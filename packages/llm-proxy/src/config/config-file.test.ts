import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '@codelab/service-kit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Config } from './config.ts';
import { findConfigFile, followConfigFile } from './config-file.ts';

let folder: string;
let file: string;
let follower: { close(): void } | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
  file = join(folder, 'llm-proxy.config.yaml');
});
afterEach(() => {
  follower?.close();
  rmSync(folder, { recursive: true });
});

/** Follows the file, and notes each version and each mistake in order. */
function follow() {
  const seen: string[] = [];
  let wake = () => {};
  const note = (what: string) => {
    seen.push(what);
    wake();
  };
  const log = {
    info: () => {},
    error: ({ mistakes }: { mistakes: string[] }) => note(`wrong: ${mistakes[0]}`),
  } as unknown as Logger;
  follower = followConfigFile(file, log, (config: Config) => note(Object.keys(config.models).join()));
  return async (count: number) => {
    while (seen.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return seen;
  };
}

it('reads each right version, says what is wrong with a wrong one and goes on from it', async () => {
  writeFileSync(file, 'models: { a: x/y }');
  const seen = follow();
  expect(await seen(1)).toEqual(['a']);
  writeFileSync(file, 'models:\n  b: [1]\n');
  expect((await seen(2))[1]).toMatch(/^wrong: llm-proxy\.config\.yaml:2: models\.b/);
  writeFileSync(file, 'models: { c: x/y }');
  expect((await seen(3))[2]).toBe('c');
});

it('follows a file that is put in its place, as editors do', async () => {
  writeFileSync(file, 'models: { a: x/y }');
  const seen = follow();
  writeFileSync(join(folder, 'new'), 'models: { b: x/y }');
  renameSync(join(folder, 'new'), file);
  expect(await seen(2)).toEqual(['a', 'b']);
});

it('is found from a folder below, up to the root of the repository, or where it is named', () => {
  const below = join(folder, 'packages', 'llm-proxy');
  mkdirSync(below, { recursive: true });
  writeFileSync(join(folder, 'turbo.json'), '{}');
  expect(findConfigFile(undefined, below)).toBeUndefined();
  writeFileSync(file, '');
  expect(findConfigFile(undefined, below)).toBe(file);
  expect(findConfigFile('../../llm-proxy.config.yaml', below)).toBe(file);
  expect(() => findConfigFile('missing.yaml', below)).toThrow('LLM_PROXY__CONFIG=missing.yaml: there is no such file');
});
