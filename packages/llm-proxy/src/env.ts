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
  DEFAULT_MODEL: z.string().optional(),
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
  return { ...settings, unknown: unknownSettings(variables, PREFIX, shape) };
}
