import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it, vi } from 'vitest';
import { listModels } from './list-models.ts';

afterEach(() => vi.unstubAllEnvs());

it("reads all pages of Anthropic's wire, each behind the last model of the one before", async () => {
  const asked: string[] = [];
  const names = await listModels('anthropic', async (query) => {
    asked.push(query.toString());
    const isFirst = !query.has('after_id');
    const [a, b] = isFirst ? ['claude-1', 'claude-2'] : ['claude-3', 'claude-4'];
    return { data: [{ id: a }, { id: b }], has_more: isFirst, first_id: a, last_id: b };
  });
  expect(names).toEqual(['claude-1', 'claude-2', 'claude-3', 'claude-4']);
  expect(asked).toEqual(['limit=1000', 'limit=1000&after_id=claude-2']);
});

it("reads the one page of OpenAI's wire, whatever the environment says of the client", async () => {
  for (const name of ['OPENAI_BASE_URL', 'OPENAI_CUSTOM_HEADERS', 'OPENAI_LOG']) vi.stubEnv(name, 'nonsense');
  const getPage = vi.fn(async () => ({ data: [{ id: 'gpt-x' }, { id: 5 }] }));
  expect(await listModels('openai', getPage)).toEqual(['gpt-x', '5']);
  expect(getPage).toHaveBeenCalledTimes(1);
});

it('leaves out wildcards, which LiteLLM lists: nobody can ask for one', async () => {
  const data = ['openai/*', 'openai/gpt-x', '*'].map((id) => ({ id }));
  expect(await listModels('openai', async () => ({ data }))).toEqual(['openai/gpt-x']);
});

it.each(['openai', 'anthropic'] as const)('%s: rejects as the request did, on whichever page', async (wire) => {
  const refused = new Error('refused');
  await expect(listModels(wire, () => Promise.reject(refused))).rejects.toBe(refused);
  let pages = 0;
  const getPage = async () => {
    if (pages++ > 0) throw refused;
    return { data: [{ id: 'x' }], has_more: true, last_id: 'x' };
  };
  if (wire === 'anthropic') await expect(listModels(wire, getPage)).rejects.toBe(refused);
  await expect(listModels(wire, async () => ({ data: [null] }))).rejects.toBeInstanceOf(TypeError);
});

it('a list that never ends is cut', async () => {
  const data = Array.from({ length: 1_000 }, (_, n) => ({ id: `m${n}` }));
  const getPage = vi.fn(async () => ({ data, has_more: true, last_id: 'm999' }));
  expect(await listModels('anthropic', getPage)).toHaveLength(10_000);
  expect(getPage).toHaveBeenCalledTimes(10);
});

it('no source loads an official client before it is used', () => {
  const source = fileURLToPath(new URL('..', import.meta.url));
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /(?<!\.test)\.ts$/.test(file),
  );
  const loading = files.flatMap((file) =>
    readFileSync(join(source, file), 'utf8')
      .split('\n')
      .filter(
        (line) => /['"](openai|@anthropic-ai\/sdk)(\/[^'"]*)?['"]/.test(line) && /\b(import|from|require)\b/.test(line),
      )
      .filter((line) => !/^import type /.test(line) && !/await import\(/.test(line)),
  );
  expect(files.length).toBeGreaterThan(40);
  expect(loading).toEqual([]);
});
