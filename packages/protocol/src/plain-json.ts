const MAX_DEPTH = 32;

/** True where JSON.stringify keeps `value` as it is. An undefined property counts: JSON leaves it out, which means the same here. */
export function isPlainJson(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth > MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((entry) => isPlainJson(entry, depth + 1));
  if (!isPlainObject(value)) return false;
  for (const key in value) {
    const entry = (value as Record<string, unknown>)[key];
    if (entry !== undefined && !isPlainJson(entry, depth + 1)) return false;
  }
  return true;
}

/** True for an object as a literal or JSON.parse makes it. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
