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

const PREFIX = 'GATEWAY__';

const origins = z
  .string()
  .transform((list) =>
    list
      .split(',')
      .map((origin) => origin.trim().replace(/\/$/, ''))
      .filter((origin) => origin !== ''),
  )
  .refine((list) => list.every((origin) => origin !== '*' && /^[a-z][a-z0-9+.-]*:\/\/[^/]+$/i.test(origin)), {
    message: 'must be a list of origins, such as https://ide.example.com,vscode-webview://* (a lone * is not allowed)',
  });

const shape = {
  ...commonSettings({ port: 8000 }),
  AGENT_RUNTIME_URL: httpUrl.default('http://127.0.0.1:8001'),
  AGENT_RUNTIME_API_KEY: z.string().optional(),
  ALLOWED_ORIGINS: origins.default(['vscode-webview://*']),
};

export type Env = ReturnType<typeof loadEnv>;

/** gateway's settings. Throws `SettingsError` with every mistake. */
export function loadEnv(variables: Variables) {
  const settings = collectMistakes(
    () => {
      const loaded = loadSettings(variables, PREFIX, shape);
      // One .env for all: agent-runtime's own key is the one to call it with.
      return {
        ...loaded,
        AGENT_RUNTIME_API_KEY: loaded.AGENT_RUNTIME_API_KEY ?? peerKey(variables, 'AGENT_RUNTIME__INTERNAL_API_KEY'),
      };
    },
    ({ HOST, INTERNAL_API_KEY, AGENT_RUNTIME_API_KEY }) =>
      requireRealKeys({
        prefix: PREFIX,
        host: HOST,
        production: variables.NODE_ENV === 'production',
        keys: { GATEWAY__INTERNAL_API_KEY: INTERNAL_API_KEY, AGENT_RUNTIME__INTERNAL_API_KEY: AGENT_RUNTIME_API_KEY },
      }),
  );
  return { ...settings, unknown: unknownSettings(variables, PREFIX, shape) };
}
