import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '@codelab/service-kit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Config } from './config.ts';
import { configFiles, followConfigFile } from './config-file.ts';

let folder: string;
let file: string;
let follower: { close(): void } | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
  mkdirSync(join(folder, 'nearer'));
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
  follower = followConfigFile([join(folder, 'nearer', 'llm-proxy.config.yaml'), file], log, (config: Config) =>
    note(Object.keys(config.models).join()),
  );
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

it('is noticed where it is made later; one that is gone stays in use, and a nearer one comes first', async () => {
  const seen = follow();
  expect(await seen(1)).toEqual(['']);
  writeFileSync(file, 'models: { a: x/y }');
  expect((await seen(2))[1]).toBe('a');
  rmSync(file);
  expect((await seen(3))[2]).toBe('wrong: llm-proxy.config.yaml: it is gone');
  writeFileSync(join(folder, 'nearer', 'llm-proxy.config.yaml'), 'models: { b: x/y }');
  expect((await seen(4))[3]).toBe('b');
});

it('is found from a folder below, up to the root of the repository, or where it is named', () => {
  const below = join(folder, 'packages', 'llm-proxy');
  mkdirSync(below, { recursive: true });
  writeFileSync(join(folder, 'turbo.json'), '{}');
  const folders = [below, join(folder, 'packages'), folder];
  expect(configFiles(undefined, below)).toEqual(folders.map((at) => join(at, 'llm-proxy.config.yaml')));
  writeFileSync(file, '');
  expect(configFiles('../../llm-proxy.config.yaml', below)).toEqual([file]);
  expect(() => configFiles('missing.yaml', below)).toThrow('LLM_PROXY__CONFIG=missing.yaml: there is no such file');
});
