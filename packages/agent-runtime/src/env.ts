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
  type SettingsOfService,
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

/** Variables that any program of the person's is given. */
const ALWAYS_KNOWN = ['HOME', 'USER', 'PATH', 'LANG', 'TMPDIR', 'USERPROFILE', 'APPDATA', 'LOCALAPPDATA', 'TEMP'];

const shape = {
  ...commonSettings({ prefix: PREFIX, port: 8001 }),
  LLM_PROXY_URL: httpUrl.default('http://127.0.0.1:8002').describe('The address of llm-proxy.'),
  LLM_PROXY_API_KEY: requiredKey(
    'LLM_PROXY__INTERNAL_API_KEY',
    'the key with which agent-runtime calls llm-proxy',
  ).meta({
    description: 'The key with which agent-runtime calls llm-proxy.',
    fallback: '`LLM_PROXY__INTERNAL_API_KEY`',
  }),
  LLM_MODEL: z
    .string()
    .max(200, 'must have at most 200 characters')
    .default('default')
    .describe('The model of sessions that name none: `provider/model`, or `default` (llm-proxy chooses).'),
  DATABASE_URL: databaseUrl.default('file:.codelab/agent-runtime.db').meta({
    title: '`file:<path>` or `postgres://user:password@host:5432/database`',
    description:
      'Where sessions are kept: in SQLite (a path is relative to the root of the checkout), or in PostgreSQL 15 or newer.',
    fallback: '`file:.codelab/agent-runtime.db`; in docker compose a volume',
  }),
  AGENT: z
    .string()
    .default('orchestrator')
    .describe('The agent of sessions that name none: orchestrator, coder, architect, debug, ask, or one of your own.'),
  AGENTS_DIR: z.string().optional().meta({
    title: 'path',
    description: 'A folder with agents of your own, one `.md` file each. It is read again on each change.',
  }),
  MCP_CONFIG: z.string().optional().meta({
    title: 'path',
    description:
      'A file with MCP servers, as other clients of MCP have it: `{"mcpServers": {…}}`. It is read again on each save.',
  }),
  MCP_VARIABLES: z
    .string()
    .default('')
    .meta({
      title: 'names, separated by commas; `*` at the end stands for any ending',
      description: `The variables of the environment that the file of MCP servers may use as \`\${NAME}\`, beside ${ALWAYS_KNOWN.join(', ')}.`,
    }),
  MAX_TOOLS: count
    .default(100)
    .describe(
      'How many tools the model is told of. Where there are more, it has to find those of MCP servers, with `find_tools`.',
    ),
  MAX_STEPS: count.default(50).describe('How many calls of the model one run may make.'),
  STEP_RETRIES: z.coerce
    .number('must be a number')
    .int('must be a whole number')
    .min(0, 'must be 0 or more')
    .default(3)
    .describe(
      'How often in a row a step whose answer broke off is asked for again; an attempt that got on does not count. 0: never.',
    ),
  STORE_TIMEOUT_MS: milliseconds
    .min(1, 'must be at least 1')
    .default(30_000)
    .describe(
      'How long one try of what a run stores may take. Until it is stored it is tried again, and logged each time.',
    ),
  LIVE_SESSIONS: count.default(2_000).describe('How many idle sessions are kept in memory.'),
  EVENTS_MAX_AGE_HOURS: count
    .min(1, 'must be at least 1')
    .default(7 * 24)
    .meta({
      title: 'hours',
      description: 'How long events are kept for readers that come back. The history stays.',
    }),
  EVENTS_MAX_MIB: count.min(1, 'must be at least 1').default(64).meta({
    title: 'MiB',
    description: 'How much of the events of one session is kept; the oldest go first. The history stays.',
  }),
  TOOL_TIMEOUT_MS: milliseconds
    .min(1, 'must be at least 1')
    .default(120_000)
    .describe('How long a tool may take without a word, unless it says otherwise.'),
  APPROVAL_TIMEOUT_MS: milliseconds
    .min(1, 'must be at least 1')
    .default(24 * 3_600_000)
    .describe('How long an approval waits for a person.'),
  CLIENT_TIMEOUT_MS: milliseconds
    .default(10_000)
    .describe(
      'How long a call waits for a client that has its tool, while none is connected. Then the model is told; a day: `86400000`.',
    ),
  CONTEXT_WINDOW: count.min(1_000, 'must be at least 1000').default(128_000).meta({
    title: 'tokens',
    description: 'What the model can be told at once. Over four fifths of it the conversation is compacted.',
  }),
};

/** Lists agent-runtime's settings. */
export const SETTINGS: SettingsOfService = { prefix: PREFIX, shape };

export type Env = ReturnType<typeof loadEnv>;

/** Loads agent-runtime's settings. Throws `SettingsError` with every mistake. */
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
        // Paths are relative to the repository, not to the folder that the process is started in.
        DATABASE_URL: resolveFileUrl(loaded.DATABASE_URL, home),
        AGENTS_DIR: path(loaded.AGENTS_DIR),
        MCP_CONFIG: path(loaded.MCP_CONFIG),
        mcpVariables: pickVariables(variables, [...ALWAYS_KNOWN, ...loaded.MCP_VARIABLES.split(',')]),
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

/** Returns the variables of these names; one that ends with `*` stands for all that begin so. Never returns a setting of the services. */
function pickVariables(variables: Variables, names: string[]): Record<string, string> {
  const wanted = names.map((name) => name.trim()).filter((name) => name !== '');
  const isWanted = (name: string) =>
    !/^(AGENT_RUNTIME|LLM_PROXY|GATEWAY)__/.test(name) &&
    wanted.some((each) => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each));
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) =>
      value !== undefined && isWanted(name) ? [[name, value]] : [],
    ),
  );
}

/** Loads `DATABASE_URL` alone: migrating needs no keys. Throws `SettingsError`. */
export function loadDatabaseUrl(variables: Variables, cwd = process.cwd()): string {
  const { DATABASE_URL } = loadSettings(variables, PREFIX, { DATABASE_URL: shape.DATABASE_URL });
  return resolveFileUrl(DATABASE_URL, repositoryRoot(cwd) ?? cwd);
}

function resolveFileUrl(url: string, home: string): string {
  return url.startsWith('file:') ? `file:${resolve(home, url.slice('file:'.length))}` : url;
}
