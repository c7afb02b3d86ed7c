import { readFileSync } from 'node:fs';
import type { SettingsError } from '@codelab/service-kit';
import { expect, it } from 'vitest';
import { parseConfig } from './config.ts';

it('reads providers and aliases; an empty file is none', () => {
  const text = `
providers:
  vllm: { base_url: http://localhost:9000/v1, api_key_env: VLLM_KEY }
models:
  fast:
    routes: [{ model: openai/gpt-4.1-mini, weight: 3 }, { model: vllm/qwen }]
    fallbacks: [ollama/qwen3:0.6b]
  smart: anthropic/claude-opus-4-5
`;
  expect(parseConfig(text, 'c.yaml')).toEqual({
    providers: {
      vllm: {
        kind: 'openai',
        base_url: 'http://localhost:9000/v1',
        api_key_env: 'VLLM_KEY',
        headers: {},
        stream_usage: true,
      },
    },
    prices: {},
    keys: {},
    models: {
      fast: {
        routes: [
          { model: 'openai/gpt-4.1-mini', weight: 3 },
          { model: 'vllm/qwen', weight: 1 },
        ],
        fallbacks: ['ollama/qwen3:0.6b'],
      },
      smart: 'anthropic/claude-opus-4-5',
    },
  });
  expect(parseConfig('# nothing yet\n', 'c.yaml')).toEqual({ providers: {}, models: {}, prices: {}, keys: {} });
});

it.each([
  [
    'providers:\n  vllm:\n    base_url: not-a-url\n',
    'c.yaml:3: providers.vllm.base_url: must be a URL that starts with http:// or https://',
  ],
  ['models:\n  a: x/y\n\n  fast:\n    routes: []\n', 'c.yaml:5: models.fast.routes: must have at least one route'],
  [
    'models:\n  fast:\n    routes: [{ model: a/b }]\n    hedge_after_ms: 2592000000\n',
    /^c\.yaml:\d: models\.fast(\.hedge_after_ms)?: must be/,
  ],
  [
    'providers:\n  x:\n    base_url: http://x\n    headers: { x-team: "ключ" }\n',
    /^c\.yaml:4: providers\.x\.headers\.x-team: must have no line breaks, and only [^к]*$/,
  ],
  ['modells:\n  a: b\n', /^c\.yaml:1: the file: .*modells/],
  ['models:\n  a: "unclosed\n', /^c\.yaml:\d+: /],
  ['providers:\n  Bad Name: { base_url: http://x }\n', /^c\.yaml:2: providers\.Bad Name: /],
])('%#: says what is wrong, and in which line', (text, mistake) => {
  try {
    parseConfig(text, 'c.yaml');
    expect.unreachable();
  } catch (error) {
    expect((error as SettingsError).mistakes[0]).toMatch(mistake);
  }
});

it('the example is right', () => {
  const example = readFileSync(new URL('../../../../llm-proxy.config.example.yaml', import.meta.url), 'utf8');
  expect(Object.keys(parseConfig(example, 'example.yaml').models)).toEqual(['smart', 'fast']);
});
