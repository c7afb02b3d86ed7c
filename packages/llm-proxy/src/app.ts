import { createLogger, createMetrics, type Logger, type RunningService, requireKey, serve } from '@codelab/service-kit';
import { findConfigFile, followConfigFile } from './config-file.ts';
import type { Env } from './env.ts';
import { openAiRoutes } from './http/openai.ts';
import { createCompletionMetrics } from './metrics.ts';
import { createModels, type Models } from './models.ts';
import { createBuiltinProvider } from './providers/builtin.ts';
import { createProviders } from './providers/configured.ts';
import { createRouter } from './router.ts';

export async function startLlmProxy(
  env: Env,
  log: Logger = createLogger({ service: 'llm-proxy', level: env.LOG_LEVEL }),
): Promise<RunningService> {
  let current: Models;
  const configFile = followConfigFile(findConfigFile(env.CONFIG), log, (config) => {
    const { configured, discovered } = createProviders(env, config);
    current = createModels({
      builtin: createBuiltinProvider({ delayMs: env.BUILTIN_DELAY_MS, hasProvider: configured.length > 0 }),
      configured,
      discovered,
      defaultModel: env.DEFAULT_MODEL,
      aliases: config.models,
      log,
    });
  });
  // A stream keeps the provider that it began with, whatever is saved meanwhile.
  const models: Models = { list: () => current.list(), resolve: (name) => current.resolve(name) };
  const metrics = createMetrics('llm-proxy');
  const router = createRouter({
    models,
    limits: {
      maxRetries: env.MAX_RETRIES,
      firstTokenMs: env.FIRST_TOKEN_TIMEOUT_MS,
      idleMs: env.IDLE_TIMEOUT_MS,
      totalMs: env.TOTAL_TIMEOUT_MS,
    },
    report: createCompletionMetrics(metrics),
  });
  const service = await serve({
    name: 'llm-proxy',
    version: env.VERSION,
    host: env.HOST,
    port: env.PORT,
    log,
    router,
    metrics,
    authorize: requireKey(env.INTERNAL_API_KEY, 'LLM_PROXY__INTERNAL_API_KEY'),
    routes: (app, makeContext) => app.register(openAiRoutes({ router, makeContext })),
  });
  return {
    ...service,
    async close(timeoutMs) {
      configFile.close();
      await service.close(timeoutMs);
    },
  };
}
