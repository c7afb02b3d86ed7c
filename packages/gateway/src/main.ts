import { createLogger, readVariables, runService } from '@codelab/service-kit';
import { startGateway } from './app.ts';
import { loadEnv } from './env.ts';

await runService('gateway', () => {
  const env = loadEnv(readVariables());
  const log = createLogger({ service: 'gateway', level: env.LOG_LEVEL });
  if (env.unknown.length > 0)
    log.warn({ unknown: env.unknown, event: 'settings.unknown' }, 'these settings are unknown: are they misspelt?');
  return { log, shutdownTimeoutMs: env.SHUTDOWN_TIMEOUT_MS, start: () => startGateway(env, log) };
});
