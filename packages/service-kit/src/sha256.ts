import { createHash } from 'node:crypto';

/** Returns the SHA-256 digest of the parts, one after the other. */
export function sha256(...parts: Array<string | Buffer>): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Returns a short text that tells one JSON value from another. It is stored: the same value gives the same text for ever. */
export function fingerprint(value: unknown): string {
  return sha256(JSON.stringify(value)).toString('base64url');
}
