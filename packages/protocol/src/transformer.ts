import superjson, { type SuperJSONResult } from 'superjson';

/**
 * superjson's wire format for tRPC, without its cost where the value is plain JSON (every `item.delta` is).
 * Peers that use superjson itself understand it, and the other way round.
 */
export const transformer = {
  serialize(value: unknown): SuperJSONResult {
    if (isPlainJson(value, 0)) return { json: value } as SuperJSONResult;
    return superjson.serialize(value);
  },
  // biome-ignore lint/suspicious/noExplicitAny: tRPC's transformer interface is typed with any
  deserialize(value: SuperJSONResult): any {
    if (typeof value !== 'object' || value === null) return undefined;
    return value.meta === undefined ? value.json : superjson.deserialize(value);
  },
};

const MAX_DEPTH = 32;

/** Whether JSON.stringify keeps `value`. An undefined property counts: JSON leaves it out, which means the same here. */
function isPlainJson(value: unknown, depth: number): boolean {
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
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key in value) {
    const entry = (value as Record<string, unknown>)[key];
    if (entry !== undefined && !isPlainJson(entry, depth + 1)) return false;
  }
  return true;
}
