const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const RANDOM_BYTES = 16;
/** Asking for random bytes costs more than having many. */
const pool = new Uint8Array(RANDOM_BYTES * 64);
let used = pool.length;

/**
 * A new id: `<prefix>_`, 9 characters of time (so that ids sort by age), 16 random ones (82 bits).
 * Works wherever Web Crypto's `getRandomValues` does, insecure browser contexts included.
 */
export function newId(prefix: string): string {
  const time = Date.now().toString(36).padStart(9, '0');
  if (used === pool.length) {
    globalThis.crypto.getRandomValues(pool);
    used = 0;
  }
  let random = '';
  for (const end = used + RANDOM_BYTES; used < end; used++) random += ALPHABET[(pool[used] as number) % 36];
  return `${prefix}_${time}${random}`;
}
