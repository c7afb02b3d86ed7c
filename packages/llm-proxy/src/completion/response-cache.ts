import { sha256 } from '@codelab/service-kit';
import { LRUCache } from 'lru-cache';
import type { Config } from '../config/config.ts';

const MAX_ENTRY_BYTES = 1024 * 1024;

/** Cache of whole answers: a request of the same bytes gets the same answer. */
export interface ResponseCache {
  readonly isOn: boolean;
  /** Returns the answer that is kept, or records a new one; undefined while the cache is off. */
  open<T>(key: string): Recording<T> | undefined;
}

export interface Recording<T> {
  /** The answer, if it is in the cache. */
  parts: T[] | undefined;
  add(part: T): void;
  /** Keeps the answer, which must be whole now, unless it is longer than 1 MiB. */
  keep(): void;
}

export function createResponseCache(config: Config['cache']): ResponseCache {
  if (config === undefined) return { isOn: false, open: () => undefined };
  const answers = new LRUCache<string, { parts: unknown[]; bytes: number }>({
    maxSize: config.max_bytes,
    maxEntrySize: Math.min(MAX_ENTRY_BYTES, config.max_bytes),
    sizeCalculation: ({ bytes }) => bytes,
    ttl: config.ttl_seconds * 1000,
  });
  return {
    isOn: true,
    open<T>(key: string) {
      const parts: T[] = [];
      let bytes = key.length;
      return {
        parts: answers.get(key)?.parts as T[] | undefined,
        add(part) {
          if (bytes > MAX_ENTRY_BYTES) return;
          bytes += sizeOf(part);
          // A part may be a view of a larger packet, which would be kept with it.
          parts.push((Buffer.isBuffer(part) ? Buffer.from(part) : part) as T);
          if (bytes > MAX_ENTRY_BYTES) parts.length = 0;
        },
        keep() {
          if (bytes <= MAX_ENTRY_BYTES) answers.set(key, { parts, bytes });
        },
      };
    },
  };
}

function sizeOf(part: unknown): number {
  if (typeof part === 'string') return part.length * 2;
  return Buffer.isBuffer(part) ? part.length : JSON.stringify(part).length * 2;
}

/** Returns the cache key of a request to an endpoint. */
export function cacheKeyOf(endpoint: string, body: Buffer | string): string {
  return sha256(endpoint, '\0', body).toString('base64');
}
