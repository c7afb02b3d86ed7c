import { CodelabError } from '@codelab/protocol';
import { createLogger } from '@codelab/service-kit';
import { describe, expect, it } from 'vitest';
import type { Config } from '../config/config.ts';
import type { BuiltinProvider, Provider } from '../providers/provider.ts';
import { createModelRouter } from './model-router.ts';

const provider = (id: string, names: string[] | 'gone'): BuiltinProvider & { asked: number } => ({
  id,
  wire: 'builtin',
  asked: 0,
  async models() {
    this.asked++;
    if (names === 'gone') throw new CodelabError('PROVIDER_UNAVAILABLE');
    return names;
  },
  stream: () => {
    throw new Error('not asked here');
  },
});
let time = 1000;
const builtin = provider('builtin', ['agent', 'echo']);
const make = (
  configured: Provider[],
  discovered: Provider[] = [],
  defaultModel?: string,
  aliases: Config['models'] = {},
) =>
  createModelRouter({
    builtin,
    configured,
    discovered,
    defaultModel,
    aliases,
    now: () => time,
    log: createLogger({ service: 'test', level: 'silent' }),
  });
const openai = provider('openai', ['gpt-4o', 'gpt-4.1-mini']);
const anthropic = provider('anthropic', ['claude-opus-4-5', 'claude-haiku-4-5-20251001']);
const ollama = provider('ollama', ['qwen3:0.6b', 'library/odd']);

it.each([
  ['default', 'openai', 'gpt-4.1-mini'],
  ['openai/gpt-4o', 'openai', 'gpt-4o'],
  ['gpt-not-listed', 'openai', 'gpt-not-listed'],
  ['o3', 'openai', 'o3'],
  ['claude-opus-4-5', 'anthropic', 'claude-opus-4-5'],
  ['qwen3:0.6b', 'ollama', 'qwen3:0.6b'],
  ['library/odd', 'ollama', 'library/odd'],
  ['ollama/anything/at-all', 'ollama', 'anything/at-all'],
  ['builtin/echo', 'builtin', 'echo'],
])('%s is served by %s as %s', async (name, id, model) => {
  const {
    routes: [found],
  } = await make([openai, anthropic], [ollama]).resolve(name);
  expect([found.provider.id, found.model]).toEqual([id, model]);
});

it('a name that nobody has is MODEL_NOT_FOUND', async () => {
  await expect(make([openai, anthropic], [ollama]).resolve('no-such-model')).rejects.toMatchObject({
    code: 'MODEL_NOT_FOUND',
  });
  await expect(make([]).resolve('no-such-model')).rejects.toMatchObject({
    code: 'MODEL_NOT_FOUND',
    message: expect.stringContaining('LLM_PROXY__OPENAI_API_KEY'),
  });
  await expect(make([], [ollama]).resolve('no-such-model')).rejects.toMatchObject({
    message: expect.stringContaining('there are builtin/agent, builtin/echo, ollama/qwen3:0.6b and 1 more;'),
  });
});

it.each(['gpt-4', 'claude-3-opus-20240229', 'o1'])(
  'with nothing configured %s is answered by builtin/agent',
  async (name) => {
    const {
      routes: [found],
    } = await make([], [provider('ollama', 'gone')]).resolve(name);
    expect([found.provider.id, found.model]).toEqual(['builtin', 'agent']);
  },
);

it('the only one configured is asked for whatever has no family', async () => {
  const {
    routes: [found],
  } = await make([anthropic], [ollama]).resolve('in-house-model');
  expect(found.provider.id).toBe('anthropic');
});

describe('a name of another family, with one provider configured', () => {
  const anthropicAlone = { ...anthropic, wire: 'anthropic' } as unknown as Provider;
  const tagged = provider('ollama', ['gpt-oss:20b', 'qwen3:0.6b', 'a', 'b', 'c']);

  it.each([
    [anthropicAlone, 'gpt-4', 'anthropic/claude-haiku-4-5-20251001', 'claude-opus-4-5, claude-haiku-4-5-20251001.'],
    [tagged, 'gpt-4', 'ollama/gpt-oss:20b', 'gpt-oss:20b, qwen3:0.6b, a and 2 more.'],
    [tagged, 'claude-opus-4-5', 'ollama/gpt-oss:20b', 'gpt-oss:20b, qwen3:0.6b, a and 2 more.'],
  ])(
    '%#: is refused, with the names that there are, where the list is all there is',
    async (only, name, byDefault, has) => {
      await expect(make([only]).resolve(name)).rejects.toMatchObject({
        code: 'MODEL_NOT_FOUND',
        message: `There is no model "${name}": ${only.id}, the only provider configured, has ${has} "default" is ${byDefault}.`,
      });
    },
  );

  it.each([
    [tagged, 'gpt-oss'],
    [tagged, 'gpt-oss:20b'],
    [openai, 'claude-opus-4-5'],
    [provider('litellm', ['openai/gpt-4']), 'gpt-4'],
    [{ ...provider('anthropic', 'gone'), wire: 'anthropic' } as unknown as Provider, 'gpt-4'],
  ])('%#: goes there where it may be known', async (only, name) => {
    const { routes } = await make([only]).resolve(name);
    expect(routes).toEqual([{ provider: only, model: name }]);
  });
});

it('what was found is named in full, and what does not answer in time is left out', async () => {
  const slow = { ...provider('litellm', []), models: () => new Promise<string[]>(() => {}) };
  expect(await make([], [slow, ollama]).found(20)).toEqual(['ollama/qwen3:0.6b', 'ollama/library/odd']);
  expect(await make([openai], [provider('ollama', 'gone')]).found(20)).toEqual([]);
});

it.each([
  [[openai, anthropic], undefined, 'openai/gpt-4.1-mini'],
  [[anthropic], undefined, 'anthropic/claude-haiku-4-5-20251001'],
  [[], undefined, 'builtin/agent'],
  [[openai], 'ollama/qwen3:0.6b', 'ollama/qwen3:0.6b'],
])('%#: the default model comes first', async (configured, chosen, expected) => {
  const { models, defaultModel } = await make(configured, [ollama], chosen).list();
  expect([defaultModel, models[0]?.id]).toEqual([expected, expected]);
});

it('what answers on a default port is listed, what does not is not, and is asked again', async () => {
  const gone = provider('litellm', 'gone');
  const models = make([], [gone, ollama]);
  for (let round = 1; round <= 2; round++) {
    expect((await models.list()).models.map(({ provider: id }) => id)).toEqual([
      'builtin',
      'ollama',
      'ollama',
      'builtin',
    ]);
    expect(gone.asked).toBe(round);
  }
});

it('a list of models is kept for a minute', async () => {
  const listed = provider('openai', ['gpt-4o']);
  const models = make([listed]);
  for (const [at, asked] of [
    [0, 1],
    [59_999, 1],
    [60_000, 2],
  ] as const) {
    time = 1000 + at;
    await models.list();
    expect(listed.asked).toBe(asked);
  }
});

it('an alias has its routes, drawn by weight, and its fallbacks behind them', async () => {
  const aliases: Config['models'] = {
    smart: 'anthropic/claude-opus-4-5',
    fast: {
      routes: [
        { model: 'openai/gpt-4.1-mini', weight: 3 },
        { model: 'anthropic/claude-haiku-4-5', weight: 1 },
      ],
      fallbacks: ['ollama/qwen3:0.6b'],
    },
  };
  const models = make([openai, anthropic], [ollama], 'fast', aliases);
  expect((await models.resolve('smart')).routes.map(({ model }) => model)).toEqual(['claude-opus-4-5']);
  const first = { openai: 0, anthropic: 0 };
  for (let draw = 0; draw < 400; draw++) {
    const routes = (await models.resolve('default')).routes.map(({ provider: { id } }) => id);
    expect([...routes].sort()).toEqual(['anthropic', 'ollama', 'openai']);
    expect(routes[2]).toBe('ollama');
    first[routes[0] as 'openai']++;
  }
  expect(first.anthropic).toBeGreaterThan(40);
  expect(first.openai).toBeGreaterThan(first.anthropic);
  expect((await models.list()).models.slice(0, 2)).toEqual([
    { id: 'fast', provider: 'alias', name: 'fast' },
    { id: 'smart', provider: 'alias', name: 'smart' },
  ]);
});
