import { fileURLToPath } from 'node:url';
import {
  createLifecycle,
  createLogger,
  createMetrics,
  docsRoute,
  type Logger,
  openApiRoute,
  type RunningService,
  requireKey,
  serve,
} from '@codelab/service-kit';
import { loadAgents } from './agents/agents.ts';
import { mcpRoute } from './api/mcp-server.ts';
import { messageStreamRoute } from './api/message-stream.ts';
import { createDocument } from './api/openapi.ts';
import { createRouter } from './api/router.ts';
import type { Env } from './env.ts';
import { createLlmClient } from './model/llm-client.ts';
import { GRACE_MS } from './session/presence.ts';
import { createSessionMetrics } from './session/session-metrics.ts';
import { createSessionRegistry } from './session/session-registry.ts';
import type { OpenDatabase } from './store/database.ts';
import { migrateUp } from './store/migrate.ts';
import { openDatabase } from './store/open-database.ts';
import { createStore } from './store/store.ts';
import { startMcpServers } from './tools/mcp-client.ts';
import { createSchemaChecker } from './tools/schema-checker.ts';
import { createServerTools } from './tools/server-tools.ts';
import { createToolRegistry } from './tools/tool-registry.ts';

/** Stands beside `src` and `dist`. */
const AGENTS_FOLDER = fileURLToPath(new URL('../agents', import.meta.url));

export async function startAgentRuntime(
  env: Env,
  log: Logger = createLogger({ service: 'agent-runtime', level: env.LOG_LEVEL }),
  { graceMs = GRACE_MS }: { graceMs?: number | undefined } = {},
): Promise<RunningService> {
  const agents = loadAgents({
    builtinFolder: AGENTS_FOLDER,
    folder: env.AGENTS_DIR,
    defaultAgent: env.AGENT,
    log,
  });
  const schemas = createSchemaChecker();
  const mcp = startMcpServers({ file: env.MCP_CONFIG, variables: env.mcpVariables, schemas, log });
  const database = await openStore(env, log).catch(async (error) => {
    await mcp.close();
    await schemas.close();
    throw error;
  });
  const store = createStore(database, log);
  const llm = createLlmClient({ url: env.LLM_PROXY_URL, key: env.LLM_PROXY_API_KEY, log });
  const registry = createToolRegistry({
    server: createServerTools({ agents, store }),
    mcp,
    schemas,
    maxTools: env.MAX_TOOLS,
  });
  const lifecycle = createLifecycle();
  const metrics = createMetrics('agent-runtime');
  const sessions = await createSessionRegistry({
    store,
    llm,
    agents,
    registry,
    log,
    lifecycle,
    metrics: createSessionMetrics(metrics),
    settings: {
      model: env.LLM_MODEL,
      maxSteps: env.MAX_STEPS,
      stepRetries: env.STEP_RETRIES,
      storeTimeoutMs: env.STORE_TIMEOUT_MS,
      liveSessions: env.LIVE_SESSIONS,
      toolTimeoutMs: env.TOOL_TIMEOUT_MS,
      approvalTimeoutMs: env.APPROVAL_TIMEOUT_MS,
      clientTimeoutMs: env.CLIENT_TIMEOUT_MS,
      graceMs,
      contextWindow: env.CONTEXT_WINDOW,
      eventsMaxBytes: env.EVENTS_MAX_MIB * 1024 * 1024,
      eventsMaxAgeMs: env.EVENTS_MAX_AGE_HOURS * 3_600_000,
    },
  });
  const router = createRouter({ sessions, store, agents, llm });
  const service = await serve({
    name: 'agent-runtime',
    version: env.VERSION,
    host: env.HOST,
    port: env.PORT,
    log,
    router,
    lifecycle,
    metrics,
    authorize: requireKey(env.INTERNAL_API_KEY, 'AGENT_RUNTIME__INTERNAL_API_KEY'),
    isService: () => true,
    routes: (app, makeContext) => {
      app.register(messageStreamRoute({ router, makeContext }));
      app.register(mcpRoute({ router, makeContext, version: env.VERSION }));
      const document = createDocument(env.VERSION);
      app.register(openApiRoute(document));
      app.register(docsRoute(document));
    },
    onTimeout: () => sessions.stop(),
  });
  sessions
    .recover()
    .catch((err) => log.error({ err, event: 'sessions.recover_failed' }, 'unfinished sessions could not be resumed'));
  return {
    ...service,
    async close(timeoutMs) {
      await service.close(timeoutMs);
      agents.close();
      await mcp.close();
      await schemas.close();
      llm.close();
      await database.close();
    },
  };
}

/** How long a start waits for a PostgreSQL that starts at the same time. */
const DATABASE_WAIT_MS = 60_000;

/** Opens the database and migrates it. Throws `SettingsError`. */
async function openStore({ DATABASE_URL: url }: Env, log: Logger): Promise<OpenDatabase> {
  const onTaken = () => {
    log.fatal({ event: 'database.taken' }, 'another agent-runtime has taken the database over');
    process.exit(1);
  };
  const database = await openDatabase({ url, log, onTaken, waitMs: DATABASE_WAIT_MS });
  try {
    const done = await migrateUp(database);
    if (done.length > 0) log.info({ migrations: done, event: 'database.migrate' }, 'the database was migrated');
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}
