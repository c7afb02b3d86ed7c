import { resolve } from 'node:path';
import {
  collectMistakes,
  commonSettings,
  httpUrl,
  loadSettings,
  milliseconds,
  repositoryRoot,
  requiredKey,
  requireRealKeys,
  unknownSettings,
  type Variables,
  withPeerKey,
} from '@codelab/service-kit';
import { z } from 'zod';

const PREFIX = 'AGENT_RUNTIME__';

const databaseUrl = z
  .string()
  .regex(/^(file:.|postgres(ql)?:\/\/)/, 'must be file:<path> (SQLite) or postgres://user:password@host/database');

const count = z.coerce.number('must be a number').int('must be a whole number').min(1, 'must be at least 1');

const shape = {
  ...commonSettings({ prefix: PREFIX, port: 8001 }),
  LLM_PROXY_URL: httpUrl.default('http://127.0.0.1:8002'),
  LLM_PROXY_API_KEY: requiredKey('LLM_PROXY__INTERNAL_API_KEY', 'the key with which agent-runtime calls llm-proxy'),
  LLM_MODEL: z.string().max(200, 'must have at most 200 characters').default('default'),
  DATABASE_URL: databaseUrl.default('file:.codelab/agent-runtime.db'),
  AGENT: z.string().default('orchestrator'),
  AGENTS_DIR: z.string().optional(),
  MCP_CONFIG: z.string().optional(),
  MAX_STEPS: count.default(50),
  STEP_RETRIES: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(0, 'must be 0 or more')
    .default(3),
  STORE_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(30_000),
  LIVE_SESSIONS: count.default(2_000),
  EVENTS_MAX_AGE_HOURS: count.min(1, 'must be at least 1').default(7 * 24),
  EVENTS_MAX_MIB: count.min(1, 'must be at least 1').default(64),
  TOOL_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(120_000),
  APPROVAL_TIMEOUT_MS: milliseconds.min(1, 'must be at least 1').default(24 * 3_600_000),
  CONTEXT_WINDOW: count.min(1_000, 'must be at least 1000').default(128_000),
};

export type Env = ReturnType<typeof loadEnv>;

/** agent-runtime's settings. Throws `SettingsError` with every mistake. */
export function loadEnv(variables: Variables, cwd = process.cwd()) {
  const settings = collectMistakes(
    () => {
      // One .env for all: llm-proxy's own key is the one to call it with.
      const known = withPeerKey(variables, 'AGENT_RUNTIME__LLM_PROXY_API_KEY', 'LLM_PROXY__INTERNAL_API_KEY');
      const loaded = loadSettings(known, PREFIX, shape);
      const home = repositoryRoot(cwd) ?? cwd;
      const path = (value: string | undefined) => (value === undefined ? undefined : resolve(home, value));
      return {
        ...loaded,
        // Paths are the same ones wherever the process is started from.
        DATABASE_URL: located(loaded.DATABASE_URL, home),
        AGENTS_DIR: path(loaded.AGENTS_DIR),
        MCP_CONFIG: path(loaded.MCP_CONFIG),
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

/** `DATABASE_URL` alone: the schema can be brought up to date without keys. Throws `SettingsError`. */
export function loadDatabaseUrl(variables: Variables, cwd = process.cwd()): string {
  const { DATABASE_URL } = loadSettings(variables, PREFIX, { DATABASE_URL: shape.DATABASE_URL });
  return located(DATABASE_URL, repositoryRoot(cwd) ?? cwd);
}

function located(url: string, home: string): string {
  return url.startsWith('file:') ? `file:${resolve(home, url.slice('file:'.length))}` : url;
}
