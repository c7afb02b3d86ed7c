import { createLogger, readVariables, runService } from '@codelab/service-kit';
import { startLlmProxy } from './app.ts';
import { loadEnv } from './env.ts';

await runService('llm-proxy', () => {
  const env = loadEnv(readVariables());
  const log = createLogger({ service: 'llm-proxy', level: env.LOG_LEVEL });
  if (env.unknown.length > 0)
    log.warn({ unknown: env.unknown, event: 'settings.unknown' }, 'unknown settings, which may be misspelt');
  return { log, shutdownTimeoutMs: env.SHUTDOWN_TIMEOUT_MS, start: () => startLlmProxy(env, log) };
});
