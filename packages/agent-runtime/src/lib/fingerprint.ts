import { createHash } from 'node:crypto';

/** Returns a hash that tells one JSON value from another. */
export function fingerprint(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url');
}
