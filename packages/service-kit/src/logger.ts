import { type DestinationStream, type Logger, type LoggerOptions as PinoOptions, pino, stdTimeFunctions } from 'pino';

export type { Logger };

export interface LoggerOptions {
  service: string;
  level: string;
  /** Gets each line. Default: stdout. */
  destination?: DestinationStream;
}

/** JSON lines. Keys never get in: they are redacted wherever they stand. */
export function createLogger({ service, level, destination }: LoggerOptions): Logger {
  const options: PinoOptions = {
    level,
    base: { service },
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
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
