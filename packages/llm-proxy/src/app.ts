import {
  type Credentials,
  createLogger,
  createMetrics,
  docsRoute,
  type Logger,
  openApiRoute,
  type RunningService,
  requireKey,
  serve,
} from '@codelab/service-kit';
import { createMemoryCounters } from './access/memory-counters.ts';
import type { CounterStore } from './access/quota.ts';
import { createRedisCounters } from './access/redis-counters.ts';
import { createVirtualKeys, type VirtualKeys } from './access/virtual-keys.ts';
import { anthropicRoutes } from './api/anthropic.ts';
import { openAiRoutes } from './api/openai.ts';
import { createDocument } from './api/openapi.ts';
import { createRouter } from './api/router.ts';
import { createBreakers } from './completion/circuit-breaker.ts';
import { createCompletionMetrics } from './completion/completion-metrics.ts';
import { createResponseCache, type ResponseCache } from './completion/response-cache.ts';
import type { CompletionServices } from './completion/stream-completion.ts';
import type { Config } from './config/config.ts';
import { configFiles, followConfigFile } from './config/config-file.ts';
import type { Env } from './env.ts';
import { createHttpClient, type HttpClient } from './http-client/http-client.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import { createBuiltinProvider } from './providers/builtin.ts';
import { createProviders } from './providers/create-providers.ts';
import { createModelRouter, type ModelRouter } from './routing/model-router.ts';
import { type CostOf, createPricing } from './routing/pricing.ts';

/** The part of the service that is rebuilt when the configuration file is saved. */
interface Configured {
  models: ModelRouter;
  keys: VirtualKeys;
  costOf: CostOf;
  cache: ResponseCache;
}

interface Shared {
  env: Env;
  httpClient: HttpClient;
  counters: CounterStore;
  clock: Clock;
  log: Logger;
}

/** How long an answer of `builtin/agent` waits to name what was found. */
const FOUND_WITHIN_MS = 500;

function configure(config: Config, { env, httpClient, counters, clock, log }: Shared): Configured {
  const { configured, discovered } = createProviders(env, config, httpClient);
  const costOf = createPricing(config.prices);
  const models: ModelRouter = createModelRouter({
    builtin: createBuiltinProvider({
      delayMs: env.BUILTIN_DELAY_MS,
      hasProvider: configured.length > 0,
      found: () => models.found(FOUND_WITHIN_MS),
    }),
    configured,
    discovered,
    defaultModel: env.DEFAULT_MODEL,
    aliases: config.models,
    now: clock.now,
    log,
  });
  return {
    models,
    keys: createVirtualKeys({
      internalKey: env.INTERNAL_API_KEY,
      keys: config.keys,
      variables: env.variables,
      counters,
      costOf,
      clock,
      log,
    }),
    costOf,
    cache: createResponseCache(config.cache),
  };
}

export async function startLlmProxy(
  env: Env,
  log: Logger = createLogger({ service: 'llm-proxy', level: env.LOG_LEVEL }),
  clock: Clock = systemClock,
): Promise<RunningService> {
  const httpClient = createHttpClient({ connectTimeoutMs: env.CONNECT_TIMEOUT_MS });
  const memory = createMemoryCounters();
  const counters =
    env.REDIS_URL === undefined ? memory : createRedisCounters({ url: env.REDIS_URL, fallback: memory, log });
  let current: Configured;
  const configFile = followConfigFile(configFiles(env.CONFIG), log, (config) => {
    current = configure(config, { env, httpClient, counters, clock, log });
  });

  const breakers = createBreakers({
    failures: env.BREAKER_FAILURES,
    cooldownMs: env.BREAKER_COOLDOWN_MS,
    now: clock.now,
    log,
  });
  const metrics = createMetrics('llm-proxy');
  const { report, beginCompletion } = createCompletionMetrics(metrics, breakers.states);
  // An in-flight stream keeps its provider when the configuration is reloaded.
  const services: CompletionServices = {
    models: {
      list: () => current.models.list(),
      resolve: (name) => current.models.resolve(name),
    },
    limits: {
      maxRetries: env.MAX_RETRIES,
      firstTokenMs: env.FIRST_TOKEN_TIMEOUT_MS,
      idleMs: env.IDLE_TIMEOUT_MS,
      totalMs: env.TOTAL_TIMEOUT_MS,
    },
    breakers,
    costOf: (route, usage) => current.costOf(route, usage),
    get cache() {
      return current.cache;
    },
    report,
    beginCompletion,
    clock,
    // Its fields have no secrets, and redacting them costs more than writing the line.
    log: log.child({}, { redact: [] }),
  };
  const keys: VirtualKeys = {
    find: (credentials) => current.keys.find(credentials),
    refusalOf: (credentials) => current.keys.refusalOf(credentials),
    usage: (caller) => current.keys.usage(caller),
  };
  const router = createRouter({ services, keys, promptCacheTtl: env.PROMPT_CACHE_TTL });
  const requireInternal = requireKey(env.INTERNAL_API_KEY, 'LLM_PROXY__INTERNAL_API_KEY');
  const authorize = (credentials: Credentials) =>
    keys.find(credentials) === undefined ? keys.refusalOf(credentials) : undefined;

  const service = await serve({
    name: 'llm-proxy',
    version: env.VERSION,
    host: env.HOST,
    port: env.PORT,
    log,
    router,
    metrics,
    authorize,
    authorizeMetrics: requireInternal,
    isService: (credentials) => requireInternal(credentials) === undefined,
    routes: (app, _makeContext, lifecycle) => {
      const endpoint = {
        maxBodyBytes: env.MAX_BODY_BYTES,
        keepAliveMs: env.KEEP_ALIVE_MS,
        services,
        keys,
        lifecycle,
        log,
      };
      app.register(openAiRoutes(endpoint));
      app.register(anthropicRoutes(endpoint));
      const document = createDocument(env.VERSION);
      app.register(openApiRoute(document));
      app.register(docsRoute(document));
    },
  });
  return {
    ...service,
    async close(timeoutMs) {
      configFile.close();
      await service.close(timeoutMs);
      await counters.close();
      await httpClient.close();
    },
  };
}
