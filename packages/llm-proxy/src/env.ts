import {
  collectMistakes,
  commonSettings,
  httpUrl,
  loadSettings,
  milliseconds,
  requireRealKeys,
  unknownSettings,
  type Variables,
} from '@codelab/service-kit';
import { z } from 'zod';

const PREFIX = 'LLM_PROXY__';

const shape = {
  ...commonSettings({ port: 8002 }),
  OPENAI_API_KEY: z.string().optional(),
  OPENAI_BASE_URL: httpUrl.optional(),
  ANTHROPIC_API_KEY: z.string().optional(),
  ANTHROPIC_BASE_URL: httpUrl.optional(),
  OLLAMA_API_KEY: z.string().optional(),
  OLLAMA_BASE_URL: httpUrl.optional(),
  LITELLM_API_KEY: z.string().optional(),
  LITELLM_BASE_URL: httpUrl.optional(),
  DEFAULT_MODEL: z.string().optional(),
  /** The configuration file. */
  CONFIG: z.string().optional(),
  /** How often a request is tried again before the first token. */
  MAX_RETRIES: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(0, 'must not be negative')
    .max(10, 'must be at most 10')
    .default(2),
  /** How long a provider may take until its first token, between two, and in all. */
  FIRST_TOKEN_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(300_000),
  IDLE_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(120_000),
  TOTAL_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(1_800_000),
  /** How long `builtin/*` waits between two words. */
  BUILTIN_DELAY_MS: milliseconds.max(1000, 'must be at most 1000').default(15),
};

export type Env = ReturnType<typeof loadEnv>;

/** llm-proxy's settings. Throws `SettingsError` with every mistake. */
export function loadEnv(variables: Variables) {
  const settings = collectMistakes(
    () => loadSettings(variables, PREFIX, shape),
    ({ HOST, INTERNAL_API_KEY }) =>
      requireRealKeys({
        prefix: PREFIX,
        host: HOST,
        production: variables.NODE_ENV === 'production',
        keys: { LLM_PROXY__INTERNAL_API_KEY: INTERNAL_API_KEY },
      }),
  );
  return { ...settings, variables, unknown: unknownSettings(variables, PREFIX, shape) };
}
