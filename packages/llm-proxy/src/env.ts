import {
  collectMistakes,
  commonSettings,
  headerValue,
  httpUrl,
  loadSettings,
  milliseconds,
  requireRealKeys,
  type SettingsOfService,
  unknownSettings,
  type Variables,
} from '@codelab/service-kit';
import { z } from 'zod';

const PREFIX = 'LLM_PROXY__';

const shape = {
  ...commonSettings({ prefix: PREFIX, port: 8002 }),
  OPENAI_API_KEY: headerValue
    .optional()
    .describe('Your key at OpenAI. With neither a key nor a base URL of any provider, `builtin/agent` answers.'),
  OPENAI_BASE_URL: httpUrl.optional().meta({
    description: "A server that speaks OpenAI's wire, with its `/v1`: vLLM, LM Studio, OpenRouter, …",
    fallback: "OpenAI's own",
  }),
  ANTHROPIC_API_KEY: headerValue.optional().describe('Your key at Anthropic.'),
  ANTHROPIC_BASE_URL: httpUrl.optional().meta({
    description: "A server that speaks Anthropic's wire, without the `/v1`.",
    fallback: "Anthropic's own",
  }),
  OLLAMA_API_KEY: headerValue.optional().describe('A key for Ollama, where it asks for one.'),
  OLLAMA_BASE_URL: httpUrl.optional().meta({
    description: 'The address of Ollama.',
    fallback: 'what answers at `LLM_PROXY__OLLAMA_DISCOVERY_URL`',
  }),
  OLLAMA_DISCOVERY_URL: httpUrl
    .default('http://127.0.0.1:11434')
    .describe('Where Ollama is looked for. In docker compose it is the container `ollama`.'),
  LITELLM_API_KEY: headerValue.optional().describe('A key for LiteLLM, where it asks for one.'),
  LITELLM_BASE_URL: httpUrl.optional().meta({
    description: 'The address of LiteLLM.',
    fallback: 'what answers at `LLM_PROXY__LITELLM_DISCOVERY_URL`',
  }),
  LITELLM_DISCOVERY_URL: httpUrl
    .default('http://127.0.0.1:4000')
    .describe('Where LiteLLM is looked for. In docker compose it is the container `litellm-proxy`.'),
  MAX_BODY_BYTES: z.coerce
    .number('must be a number of bytes')
    .int('must be a whole number of bytes')
    .min(1024, 'must be at least 1024')
    .max(256 * 1024 * 1024, 'must be at most 268435456')
    .default(8 * 1024 * 1024)
    .meta({ title: 'bytes', description: 'The largest body of `/v1/…`: images make it large.' }),
  DEFAULT_MODEL: z.string().optional().meta({
    description: 'The model that `default` stands for; `ollama/<model>` where Ollama is only found.',
    fallback: 'a small model of the first provider that is configured here, else `builtin/agent`',
  }),
  CONFIG: z.string().optional().meta({
    title: 'path',
    description:
      'A file with more providers, aliases, fallbacks, keys with limits, prices: see `llm-proxy.config.example.yaml`. It is read again on each save; one of the default name may be made later.',
    fallback: '`llm-proxy.config.yaml`, where there is one',
  }),
  PROMPT_CACHE_TTL: z
    .enum(['5m', '1h'], 'must be 5m or 1h')
    .default('5m')
    .describe(
      'How long Anthropic keeps what a session has said in its cache without a request: `1h` costs more to write, and outlasts a long build.',
    ),
  MAX_RETRIES: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(0, 'must not be negative')
    .max(10, 'must be at most 10')
    .default(2)
    .describe(
      "How often a request is tried again, with growing pauses or after the provider's `Retry-After`, while nothing of the answer has come.",
    ),
  CONNECT_TIMEOUT_MS: milliseconds
    .min(1, 'must be at least 1')
    .default(10_000)
    .describe('How long a provider may take to accept the connection.'),
  FIRST_TOKEN_TIMEOUT_MS: milliseconds
    .min(1, 'must be at least 1')
    .default(300_000)
    .describe('How long a provider may take until its first token; of an answer that is not streamed, until its end.'),
  IDLE_TIMEOUT_MS: milliseconds
    .min(1, 'must be at least 1')
    .default(120_000)
    .describe('How long a provider may be silent between two packets of an answer.'),
  TOTAL_TIMEOUT_MS: milliseconds
    .min(1, 'must be at least 1')
    .default(1_800_000)
    .describe('How long an answer may take in all.'),
  KEEP_ALIVE_MS: milliseconds
    .min(10, 'must be at least 10')
    .default(15_000)
    .describe('How often a silent stream gets a comment, so that nobody in between takes it for dead.'),
  BREAKER_FAILURES: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(0, 'must not be negative')
    .default(8)
    .describe('How many failures in a row of a provider and model open its circuit breaker. 0: never.'),
  BREAKER_COOLDOWN_MS: milliseconds
    .min(1, 'must be at least 1')
    .default(15_000)
    .describe('How long an open circuit breaker keeps requests away before one request tries again.'),
  REDIS_URL: z
    .url({ protocol: /^rediss?$/, error: 'must be a URL that starts with redis:// or rediss://' })
    .optional()
    .meta({
      title: '`redis://host:6379` or `rediss://…`',
      description:
        'Where the counters of virtual keys (`llm-proxy.config.yaml`) are. Several llm-proxies share them there.',
      fallback: 'in memory',
    }),
  BUILTIN_DELAY_MS: milliseconds
    .max(1000, 'must be at most 1000')
    .default(15)
    .describe('How long `builtin/*` waits between two words.'),
};

/** Lists llm-proxy's settings. */
export const SETTINGS: SettingsOfService = { prefix: PREFIX, shape };

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
