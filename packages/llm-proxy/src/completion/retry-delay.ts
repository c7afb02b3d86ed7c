import type { CodelabError, ErrorCode } from '@codelab/protocol';

const RETRIED: ErrorCode[] = ['PROVIDER_UNAVAILABLE', 'PROVIDER_RATE_LIMIT', 'PROVIDER_STREAM_LOST'];
const BASE_MS = 300;
const MAX_BACKOFF_MS = 5_000;
/** Longest `Retry-After` that is waited for; a longer one is passed on to the client. */
const MAX_RETRY_AFTER_MS = 15_000;

/**
 * Returns the delay before a retry, in milliseconds; undefined if there should be none. At least as long as the provider asks for; else
 * 0.3 s, doubling up to 5 s. A random part, up to as much again, keeps callers from coming back all at once.
 */
export function retryDelay(error: CodelabError, retries: number, random = Math.random): number | undefined {
  if (!RETRIED.includes(error.code)) return undefined;
  const { retryAfterMs } = error;
  if (retryAfterMs !== undefined && retryAfterMs > MAX_RETRY_AFTER_MS) return undefined;
  const backoff = Math.min(BASE_MS * 2 ** retries, MAX_BACKOFF_MS);
  return Math.round((retryAfterMs ?? backoff) + random() * backoff);
}
