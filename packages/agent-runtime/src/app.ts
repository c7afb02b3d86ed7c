import { createLogger, type Logger, type RunningService, requireKey, serve } from '@codelab/service-kit';
import type { Env } from './env.ts';
import { messageStreamRoute } from './http/message-stream.ts';
import { createLlm } from './llm.ts';
import { createRouter } from './router.ts';
import { createSessions } from './sessions.ts';

export async function startAgentRuntime(
  env: Env,
  log: Logger = createLogger({ service: 'agent-runtime', level: env.LOG_LEVEL }),
): Promise<RunningService> {
  const llm = createLlm({ url: env.LLM_PROXY_URL, key: env.LLM_PROXY_API_KEY, log });
  const sessions = createSessions({ llm, defaultModel: env.LLM_MODEL, maxSessions: env.MAX_SESSIONS });
  const router = createRouter({ sessions, llm });
  const service = await serve({
    name: 'agent-runtime',
    version: env.VERSION,
    host: env.HOST,
    port: env.PORT,
    log,
    router,
    authorize: requireKey(env.INTERNAL_API_KEY, 'AGENT_RUNTIME__INTERNAL_API_KEY'),
    routes: (app, makeContext) => app.register(messageStreamRoute({ router, makeContext })),
    onTimeout: () => sessions.stop(),
  });
  return {
    ...service,
    async close(timeoutMs) {
      await service.close(timeoutMs);
      llm.close();
    },
  };
}
