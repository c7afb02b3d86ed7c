const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/**
 * A new id: `<prefix>_`, 9 characters of time (so that ids sort by age), 16 random ones (82 bits).
 * Works wherever Web Crypto's `getRandomValues` does, insecure browser contexts included.
 */
export function newId(prefix: string): string {
  const time = Date.now().toString(36).padStart(9, '0');
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  let random = '';
  for (const byte of bytes) random += ALPHABET[byte % 36];
  return `${prefix}_${time}${random}`;
}
