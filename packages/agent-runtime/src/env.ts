import {
  collectMistakes,
  commonSettings,
  httpUrl,
  loadSettings,
  peerKey,
  requireRealKeys,
  unknownSettings,
  type Variables,
} from '@codelab/service-kit';
import { z } from 'zod';

const PREFIX = 'AGENT_RUNTIME__';

const shape = {
  ...commonSettings({ port: 8001 }),
  LLM_PROXY_URL: httpUrl.default('http://127.0.0.1:8002'),
  LLM_PROXY_API_KEY: z.string().optional(),
  LLM_MODEL: z.string().max(200, 'must have at most 200 characters').default('default'),
  MAX_SESSIONS: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .default(10_000),
};

export type Env = ReturnType<typeof loadEnv>;

/** agent-runtime's settings. Throws `SettingsError` with every mistake. */
export function loadEnv(variables: Variables) {
  const settings = collectMistakes(
    () => {
      const loaded = loadSettings(variables, PREFIX, shape);
      // One .env for all: llm-proxy's own key is the one to call it with.
      return {
        ...loaded,
        LLM_PROXY_API_KEY: loaded.LLM_PROXY_API_KEY ?? peerKey(variables, 'LLM_PROXY__INTERNAL_API_KEY'),
      };
    },
    ({ HOST, INTERNAL_API_KEY, LLM_PROXY_API_KEY }) =>
      requireRealKeys({
        prefix: PREFIX,
        host: HOST,
        production: variables.NODE_ENV === 'production',
        keys: { AGENT_RUNTIME__INTERNAL_API_KEY: INTERNAL_API_KEY, LLM_PROXY__INTERNAL_API_KEY: LLM_PROXY_API_KEY },
      }),
  );
  return { ...settings, unknown: unknownSettings(variables, PREFIX, shape) };
}
