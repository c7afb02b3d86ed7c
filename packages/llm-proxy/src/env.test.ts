import { expect, it } from 'vitest';
import { loadEnv } from './env.ts';

const given = (more: Record<string, string>) => loadEnv({ LLM_PROXY__INTERNAL_API_KEY: 'k', ...more });

it.each(['OPENAI', 'ANTHROPIC', 'OLLAMA', 'LITELLM'])(
  'refuses a key of %s that cannot be sent, and does not show it',
  (of) => {
    const name = `LLM_PROXY__${of}_API_KEY`;
    for (const key of ['sk-with\nnewline-123456', 'sk-ключ-12345678', 'sk-\u00e9', 'sk-\t1'])
      expect(() => given({ [name]: key })).toThrow(
        new RegExp(`^A setting is wrong:\\n  - ${name}=…: must have no line breaks, and only [^0-9]*$`),
      );
    expect(given({ [name]: 'sk-Abc_123+/= x\n' })).toMatchObject({ [`${of}_API_KEY`]: 'sk-Abc_123+/= x' });
  },
);

it.each(['FIRST_TOKEN_TIMEOUT_MS', 'IDLE_TIMEOUT_MS', 'TOTAL_TIMEOUT_MS', 'BREAKER_COOLDOWN_MS', 'KEEP_ALIVE_MS'])(
  'refuses 30 days as %s',
  (name) => {
    expect(() => given({ [`LLM_PROXY__${name}`]: '2592000000' })).toThrow('must be at most 2147483647');
  },
);
