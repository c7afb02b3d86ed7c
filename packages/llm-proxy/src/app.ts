import { createLogger, type Logger, type RunningService, requireKey, serve } from '@codelab/service-kit';
import type { Env } from './env.ts';
import { openAiRoutes } from './http/openai.ts';
import { createModels } from './models.ts';
import { createBuiltinProvider } from './providers/builtin.ts';
import { createOpenAiProvider } from './providers/openai.ts';
import { createRouter } from './router.ts';

export function startLlmProxy(
  env: Env,
  log: Logger = createLogger({ service: 'llm-proxy', level: env.LOG_LEVEL }),
): Promise<RunningService> {
  const hasProvider = env.OPENAI_API_KEY !== undefined || env.OPENAI_BASE_URL !== undefined;
  const models = createModels({
    builtin: createBuiltinProvider({ delayMs: env.BUILTIN_DELAY_MS, hasProvider }),
    // A local server that speaks OpenAI's wire often wants no key; the package insists on one.
    upstream: hasProvider
      ? createOpenAiProvider({ apiKey: env.OPENAI_API_KEY ?? 'none', baseUrl: env.OPENAI_BASE_URL })
      : undefined,
    defaultModel: env.DEFAULT_MODEL,
    log,
  });
  const router = createRouter(models);
  return serve({
    name: 'llm-proxy',
    version: env.VERSION,
    host: env.HOST,
    port: env.PORT,
    log,
    router,
    authorize: requireKey(env.INTERNAL_API_KEY, 'LLM_PROXY__INTERNAL_API_KEY'),
    routes: (app, makeContext) => app.register(openAiRoutes({ router, makeContext })),
  });
}
