import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SPACE,
} from './ascii.ts';

/**
 * Replaces the values of members of a JSON object, and keeps all its other bytes (hot path: README.md). `object` must be valid JSON; a
 * value is JSON text; missing members are added in front.
 */
export function spliceJson(object: Buffer, values: Record<string, string>): Buffer {
  const missing = new Set(Object.keys(values));
  const parts: Buffer[] = [];
  let copied = 0;
  const start = object.indexOf('{') + 1;
  for (const { name, from, to } of membersOf(object, start)) {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) continue;
    missing.delete(name);
    parts.push(object.subarray(copied, from), Buffer.from(value));
    copied = to;
  }
  parts.push(object.subarray(copied));
  if (missing.size === 0) return Buffer.concat(parts);
  const added = [...missing].map((name) => `${JSON.stringify(name)}:${values[name]}`).join(',');
  const rest = Buffer.concat(parts);
  const isEmpty = /^\s*}/.test(rest.toString('latin1', start, start + 100));
  return Buffer.concat([rest.subarray(0, start), Buffer.from(isEmpty ? added : `${added},`), rest.subarray(start)]);
}

/** Yields the members of the object that begins before `at`, each with the offsets of its value. */
function* membersOf(json: Buffer, at: number): Generator<{ name: string; from: number; to: number }> {
  for (let next = json.indexOf(QUOTE, at); next !== -1; ) {
    const end = endOfString(json, next);
    const name = JSON.parse(json.toString('utf8', next, end)) as string;
    const from = skipSpace(json, json.indexOf(COLON, end) + 1);
    const to = endOfValue(json, from);
    yield { name, from, to };
    const after = skipSpace(json, to);
    if (json[after] !== COMMA) return;
    next = json.indexOf(QUOTE, after);
  }
}

function skipSpace(json: Buffer, at: number): number {
  let next = at;
  while ((json[next] as number) <= SPACE) next++;
  return next;
}

/** Returns the offset behind the string whose opening quote is at `at`. */
function endOfString(json: Buffer, at: number): number {
  for (let end = json.indexOf(QUOTE, at + 1); ; end = json.indexOf(QUOTE, end + 1)) {
    let slashes = 0;
    while (json[end - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end + 1;
  }
}

function endOfValue(json: Buffer, at: number): number {
  const first = json[at];
  if (first === QUOTE) return endOfString(json, at);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    let end = at;
    // Up to a comma, a bracket or white space.
    while (
      end < json.length &&
      json[end] !== COMMA &&
      json[end] !== CLOSE_BRACE &&
      json[end] !== CLOSE_BRACKET &&
      (json[end] as number) > SPACE
    )
      end++;
    return end;
  }
  let depth = 0;
  for (let next = at; next < json.length; next++) {
    const byte = json[next];
    if (byte === QUOTE) next = endOfString(json, next) - 1;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
      if (depth === 0) return next + 1;
    }
  }
  return json.length;
}

/** Returns a request's body with the model `name` in place of `model`; the same bytes if they are equal. */
export function withModel(bytes: Buffer, model: string, name: string): Buffer {
  return model === name ? bytes : spliceJson(bytes, { model: JSON.stringify(name) });
}
