import { CodelabError } from '../errors.ts';
import { isPlainJson, isPlainObject } from '../plain-json.ts';

/** Format: superjson 2.2, https://github.com/flightcontrolhq/superjson */
interface Envelope {
  json: unknown;
  meta?: { values?: unknown; referentialEqualities?: unknown; v?: number };
}

type Annotation = ['Date'] | ['undefined'];

/** The most annotations of one message, and the longest path of one. */
const MAX_NOTES = 10_000;
const MAX_PATH = 1_000;

/**
 * superjson's wire format for tRPC, as far as our types need it: JSON, dates and undefined. Peers that use superjson itself understand it,
 * and the other way round. Its other annotations build what their sender likes, and as large: they are refused. Keys may be called
 * anything: superjson itself throws on `constructor`, `prototype` and `__proto__`, which are words like any other in JSON.
 */
export const transformer = {
  /** Throws `VALIDATION` for a bigint, and for what never ends; everything else that JSON has no form for is written as `JSON.stringify` does. */
  serialize(value: unknown): Envelope {
    // Most values are plain JSON (every `item.delta` is) and cost no more than a look.
    if (isPlainJson(value)) return { json: value };
    const values: Record<string, Annotation> = Object.create(null);
    const json = orRefused(() => toJson(value, undefined, values));
    if (value === undefined || value instanceof Date) return { json, meta: { values: values[''], v: 1 } };
    for (const _ in values) return { json, meta: { values, v: 1 } };
    return { json };
  },
  /** Changes `wire` in place. Throws `VALIDATION`. */
  // biome-ignore lint/suspicious/noExplicitAny: tRPC's transformer interface is typed with any
  deserialize(wire: Envelope): any {
    if (typeof wire !== 'object' || wire === null) return undefined;
    return wire.meta == null ? wire.json : revive(wire.json, wire.meta);
  },
};

function orRefused<T>(walk: () => T): T {
  try {
    return walk();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new CodelabError('VALIDATION', 'The value is nested too deep, or has itself in it.', { cause });
  }
}

/** The value as JSON, with what is no JSON noted in `values` under its path; the root has none. */
function toJson(value: unknown, path: string | undefined, values: Record<string, Annotation>): unknown {
  if (value === undefined) {
    values[path ?? ''] = ['undefined'];
    return null;
  }
  if (typeof value === 'bigint')
    throw new CodelabError('VALIDATION', `JSON has no bigint, and "${path ?? 'it'}" is one: send it as text.`);
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) return null;
    values[path ?? ''] = ['Date'];
    return value.toISOString();
  }
  if (isPlainJson(value)) return value;
  const below = (key: string) => (path === undefined ? escapeKey(key) : `${path}.${escapeKey(key)}`);
  if (Array.isArray(value)) return value.map((entry, index) => toJson(entry, below(String(index)), values));
  if (!isPlainObject(value)) return value;
  const json: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const entry = value[key];
    if (entry !== undefined) define(json, key, toJson(entry, below(key), values));
  }
  return json;
}

/** Sets an own property, also one that is called `__proto__`. */
function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

/** `json` with its dates and undefineds. */
function revive(json: unknown, meta: NonNullable<Envelope['meta']>): unknown {
  if (!isPlainObject(meta)) throw refused('its meta is not an object');
  const { values, referentialEqualities, v } = meta;
  const isLegacy = (v ?? 0) < 1;
  let root = json;
  if (Array.isArray(values)) root = revived(json, values, '');
  else if (values !== undefined)
    for (const { path, note } of notesOf(values)) {
      const keys = parsePath(path, isLegacy);
      const last = keys.pop() as string;
      const parent = at(json, keys);
      if (!hasKey(parent, last)) throw refused(`there is nothing at "${path}"`);
      parent[last] = revived(parent[last], note, path);
    }
  if (referentialEqualities !== undefined) checkEqualities(json, referentialEqualities, isLegacy);
  return root;
}

function revived(value: unknown, note: unknown, path: string): unknown {
  const [type] = Array.isArray(note) && note.length === 1 ? note : [];
  if (type === 'undefined' && value === null) return undefined;
  if (type === 'Date' && typeof value === 'string' && value.length <= 40) {
    const date = new Date(value);
    if (!Number.isNaN(date.getTime())) return date;
  }
  if (type === 'Date' || type === 'undefined') throw refused(`"${path}" is no ${type}`);
  const name = JSON.stringify(Array.isArray(note) ? note[0] : note) ?? 'undefined';
  throw refused(`"${path}" is marked as ${name.slice(0, 100)}`);
}

/** Equal objects stand in full at each of their places, and then there is nothing to do; deduplicated ones do not. */
function checkEqualities(json: unknown, equalities: unknown, isLegacy: boolean): void {
  const groups = Array.isArray(equalities)
    ? [{ note: equalities[0] }, ...notesOf(equalities[1] ?? {})]
    : notesOf(equalities);
  let count = 0;
  for (const { note } of groups) {
    if (!Array.isArray(note)) throw refused('its referentialEqualities are not lists of paths');
    count += note.length;
    if (count > MAX_NOTES) throw tooMany();
    for (const path of note) {
      if (typeof path !== 'string') throw refused('its referentialEqualities are not lists of paths');
      if (at(json, parsePath(path, isLegacy)) === null)
        throw refused(
          `"${path.slice(0, 100)}" is left out because it stands elsewhere (dedupe, or an object with itself in it)`,
        );
    }
  }
}

function notesOf(values: unknown): Array<{ path: string; note: unknown }> {
  if (!isPlainObject(values)) throw refused('its meta.values are not an object');
  const notes: Array<{ path: string; note: unknown }> = [];
  for (const path in values) {
    if (notes.length === MAX_NOTES) throw tooMany();
    notes.push({ path, note: values[path] });
  }
  return notes;
}

type Parent = Record<string, unknown>;

function at(json: unknown, keys: string[]): unknown {
  let value = json;
  for (const key of keys) {
    if (!hasKey(value, key)) throw refused(`there is nothing at "${keys.join('.').slice(0, 100)}"`);
    value = value[key];
  }
  return value;
}

/** Own properties alone: what an object inherits belongs to everybody. */
function hasKey(value: unknown, key: string): value is Parent {
  if (Array.isArray(value)) return /^(0|[1-9]\d{0,8})$/.test(key) && Object.hasOwn(value, key);
  return isPlainObject(value) && Object.hasOwn(value, key);
}

function escapeKey(key: string): string {
  return key.replace(/[\\.]/g, '\\$&');
}

/** The keys of a path: a dot separates them, a backslash escapes a dot and (but in superjson 1) itself. */
function parsePath(path: string, isLegacy: boolean): string[] {
  if (path.length > MAX_PATH) throw refused(`a path has more than ${MAX_PATH} characters`);
  const keys: string[] = [];
  let key = '';
  for (let i = 0; i < path.length; i++) {
    const character = path[i] as string;
    const next = path[i + 1];
    if (character === '\\' && (next === '.' || (next === '\\' && !isLegacy))) {
      key += next;
      i++;
    } else if (character === '.') {
      keys.push(key);
      key = '';
    } else key += character;
  }
  keys.push(key);
  return keys;
}

function refused(why: string): CodelabError {
  return new CodelabError(
    'VALIDATION',
    `This superjson is not taken: ${why}. Only Date and undefined may be annotated; send all else as plain JSON.`,
  );
}

function tooMany(): CodelabError {
  return refused(`it annotates more than ${MAX_NOTES} values`);
}
