import {
  collectMistakes,
  commonSettings,
  headerValue,
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
  ...commonSettings({ prefix: PREFIX, port: 8002 }),
  OPENAI_API_KEY: headerValue.optional(),
  OPENAI_BASE_URL: httpUrl.optional(),
  ANTHROPIC_API_KEY: headerValue.optional(),
  ANTHROPIC_BASE_URL: httpUrl.optional(),
  OLLAMA_API_KEY: headerValue.optional(),
  OLLAMA_BASE_URL: httpUrl.optional(),
  LITELLM_API_KEY: headerValue.optional(),
  LITELLM_BASE_URL: httpUrl.optional(),
  /** The most that a body of `/v1/…` may have: images make it large. */
  MAX_BODY_BYTES: z.coerce
    .number('must be a number of bytes')
    .int('must be a whole number of bytes')
    .min(1024, 'must be at least 1024')
    .max(256 * 1024 * 1024, 'must be at most 268435456')
    .default(8 * 1024 * 1024),
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
  /** How long a provider may take to accept the connection, until its first token, between two, and in all. */
  CONNECT_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(10_000),
  FIRST_TOKEN_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(300_000),
  IDLE_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(120_000),
  TOTAL_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(1_800_000),
  /** How often a stream in which nothing happens gets a comment. */
  KEEP_ALIVE_MS: milliseconds.min(10, 'must be at least 10').default(15_000),
  /** So many failures of a route in a row keep requests from it for so long; 0: never. */
  BREAKER_FAILURES: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(0, 'must not be negative')
    .default(8),
  BREAKER_COOLDOWN_MS: milliseconds.min(1, 'must be at least 1').default(15_000),
  /** Where the counters of virtual keys are; several llm-proxies share them there. Default: in memory. */
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a URL that starts with redis:// or rediss://' }).optional(),
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
