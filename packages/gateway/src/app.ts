import { contract } from '@codelab/protocol';
import {
  createLogger,
  createMetrics,
  docsRoute,
  type Logger,
  openApiRoute,
  type RunningService,
  serve,
} from '@codelab/service-kit';
import { createAuthorize, createOriginCheck, createOriginFilter } from './authorize.ts';
import type { Env } from './env.ts';
import { createGatewayMetrics } from './gateway-metrics.ts';
import { allowOrigins } from './http/cors.ts';
import { eventsRoute } from './http/events.ts';
import { messageRoute } from './http/message.ts';
import { createDocument } from './http/openapi.ts';
import { restPlugin } from './http/rest.ts';
import { createRouter } from './router.ts';
import { createRuntime } from './runtime.ts';
import { strictContract } from './strict-contract.ts';
import { createLegacyDoor } from './ws/legacy.ts';

export async function startGateway(
  env: Env,
  log: Logger = createLogger({ service: 'gateway', level: env.LOG_LEVEL }),
): Promise<RunningService> {
  const runtime = createRuntime({ url: env.AGENT_RUNTIME_URL, key: env.AGENT_RUNTIME_API_KEY, log });
  const metrics = createMetrics('gateway');
  const router = createRouter(runtime, createGatewayMetrics(metrics));
  const document = createDocument(contract, env.VERSION);
  const who = { host: env.HOST, allowedOrigins: env.ALLOWED_ORIGINS };
  const service = await serve({
    name: 'gateway',
    version: env.VERSION,
    host: env.HOST,
    port: env.PORT,
    log,
    router,
    metrics,
    authorize: createAuthorize({ key: env.INTERNAL_API_KEY, ...who }),
    allowsOrigin: createOriginCheck(who),
    takesTokenInUrl: true,
    routes: (app, makeContext) => {
      const options = { router, makeContext };
      allowOrigins(app, createOriginFilter(env.ALLOWED_ORIGINS));
      app.register(messageRoute(options));
      app.register(restPlugin({ contract: strictContract(contract), ...options }));
      app.register(eventsRoute(options));
      app.register(openApiRoute(document));
      app.register(docsRoute(document));
    },
    door: createLegacyDoor(router),
  });
  return {
    ...service,
    async close(timeoutMs) {
      await service.close(timeoutMs);
      runtime.close();
    },
  };
}
