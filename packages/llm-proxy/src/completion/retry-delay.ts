import type { CodelabError, ErrorCode } from '@codelab/protocol';

const RETRIED: ErrorCode[] = ['PROVIDER_UNAVAILABLE', 'PROVIDER_RATE_LIMIT', 'PROVIDER_STREAM_LOST'];
const BASE_MS = 300;
const MAX_BACKOFF_MS = 5_000;
/** Whoever asks us to wait longer gets its answer passed on, `Retry-After` included. */
const MAX_RETRY_AFTER_MS = 15_000;

/**
 * How long to wait before trying again, in milliseconds; undefined where trying again is no use. At least what the provider asked
 * for; else 0.3 s, doubling up to 5 s. A random part, up to as much again, keeps callers from coming back all at once.
 */
export function retryDelay(error: CodelabError, retries: number, random = Math.random): number | undefined {
  if (!RETRIED.includes(error.code)) return undefined;
  const { retryAfterMs } = error;
  if (retryAfterMs !== undefined && retryAfterMs > MAX_RETRY_AFTER_MS) return undefined;
  const backoff = Math.min(BASE_MS * 2 ** retries, MAX_BACKOFF_MS);
  return Math.round((retryAfterMs ?? backoff) + random() * backoff);
}
