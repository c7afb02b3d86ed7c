import { createHash } from 'node:crypto';

/** The longest name that every provider takes. */
const MAX_NAME = 64;

/**
 * Returns a name that every provider takes: one that fits as it is, another with `_` for what it may not have, cut off, and a hash of the
 * whole name at its end. So it is the same in each process, and two names stay two.
 */
export function fitName(name: string, { max = MAX_NAME, isTaken = false } = {}): string {
  if (!isTaken && name.length <= max && /^[A-Za-z0-9_-]+$/.test(name)) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${name.replace(/[^A-Za-z0-9_-]/gu, '_').slice(0, max - hash.length - 1)}_${hash}`;
}
