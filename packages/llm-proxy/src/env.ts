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
  /** Maximum size of a body of `/v1/…`: images make it large. Bytes. */
  MAX_BODY_BYTES: z.coerce
    .number('must be a number of bytes')
    .int('must be a whole number of bytes')
    .min(1024, 'must be at least 1024')
    .max(256 * 1024 * 1024, 'must be at most 268435456')
    .default(8 * 1024 * 1024),
  DEFAULT_MODEL: z.string().optional(),
  /** Path of the configuration file. */
  CONFIG: z.string().optional(),
  /** Retries of a request before the first token. */
  MAX_RETRIES: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(0, 'must not be negative')
    .max(10, 'must be at most 10')
    .default(2),
  /** Time for a provider to accept the connection. */
  CONNECT_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(10_000),
  /** Time until the first token. */
  FIRST_TOKEN_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(300_000),
  /** Time between two packets of an answer. */
  IDLE_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(120_000),
  /** Time for a whole completion, retries included. */
  TOTAL_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(1_800_000),
  /** Interval of comments in an idle stream. */
  KEEP_ALIVE_MS: milliseconds.min(10, 'must be at least 10').default(15_000),
  /** Consecutive failures that open a route's circuit breaker; 0: never. */
  BREAKER_FAILURES: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(0, 'must not be negative')
    .default(8),
  /** Time until an open circuit breaker admits a probe. */
  BREAKER_COOLDOWN_MS: milliseconds.min(1, 'must be at least 1').default(15_000),
  /**
   * Redis for the counters of virtual keys, which several llm-proxies share.
   * @default in memory
   */
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a URL that starts with redis:// or rediss://' }).optional(),
  /** Pause of `builtin/*` between two words. */
  BUILTIN_DELAY_MS: milliseconds.max(1000, 'must be at most 1000').default(15),
};

export type Env = ReturnType<typeof loadEnv>;

/** Reads llm-proxy's settings. Throws `SettingsError` with every mistake. */
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
