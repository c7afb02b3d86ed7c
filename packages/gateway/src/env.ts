import {
  collectMistakes,
  commonSettings,
  httpUrl,
  loadSettings,
  requiredKey,
  requireRealKeys,
  unknownSettings,
  type Variables,
  withPeerKey,
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
  })
  .refine((list) => !list.some(isAnyWebsite), {
    message:
      'must not let every website in: after a * of http or https stands a name of yours, as in https://*.example.com',
  });

/** True where the wildcard of an origin stands for more than the names below one domain. */
function isAnyWebsite(origin: string): boolean {
  const [, name] = /^https?:\/\/(.*?)(:[\d*]+)?$/i.exec(origin) ?? [];
  return name?.includes('*') === true && !/\*\.[^*]+\.[^*.]+$/.test(name);
}

const shape = {
  ...commonSettings({ prefix: PREFIX, port: 8000 }),
  AGENT_RUNTIME_URL: httpUrl.default('http://127.0.0.1:8001'),
  AGENT_RUNTIME_API_KEY: requiredKey(
    'AGENT_RUNTIME__INTERNAL_API_KEY',
    'the key with which gateway calls agent-runtime',
  ),
  ALLOWED_ORIGINS: origins.default(['vscode-webview://*']),
};

export type Env = ReturnType<typeof loadEnv>;

/** gateway's settings. Throws `SettingsError` with every mistake. */
export function loadEnv(variables: Variables) {
  const settings = collectMistakes(
    () =>
      loadSettings(
        withPeerKey(variables, 'GATEWAY__AGENT_RUNTIME_API_KEY', 'AGENT_RUNTIME__INTERNAL_API_KEY'),
        PREFIX,
        shape,
      ),
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
