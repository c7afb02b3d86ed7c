const QUOTE = 34;
const BACKSLASH = 92;

/**
 * Gives members of a JSON object new values, and leaves all its other bytes as they are: a large body is neither written anew nor
 * changed by it. `object` must be valid JSON; a value is JSON text; members that are missing are added in front.
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

/** The members of the object that begins before `at`, with where their values stand. */
function* membersOf(json: Buffer, at: number): Generator<{ name: string; from: number; to: number }> {
  for (let next = json.indexOf(QUOTE, at); next !== -1; ) {
    const end = endOfString(json, next);
    const name = JSON.parse(json.toString('utf8', next, end)) as string;
    const from = skipSpace(json, json.indexOf(58, end) + 1);
    const to = endOfValue(json, from);
    yield { name, from, to };
    const after = skipSpace(json, to);
    if (json[after] !== 44) return;
    next = json.indexOf(QUOTE, after);
  }
}

function skipSpace(json: Buffer, at: number): number {
  let next = at;
  while ((json[next] as number) <= 32) next++;
  return next;
}

/** Behind the string whose opening quote stands at `at`. */
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
  if (first !== 123 && first !== 91) {
    let end = at;
    // Up to a comma, a bracket or white space.
    while (end < json.length && json[end] !== 44 && json[end] !== 125 && json[end] !== 93 && (json[end] as number) > 32)
      end++;
    return end;
  }
  let depth = 0;
  for (let next = at; next < json.length; next++) {
    const byte = json[next];
    if (byte === QUOTE) next = endOfString(json, next) - 1;
    else if (byte === 123 || byte === 91) depth++;
    else if (byte === 125 || byte === 93) {
      depth--;
      if (depth === 0) return next + 1;
    }
  }
  return json.length;
}

/** A request's body, which names `model`, for a provider that calls it `name`. */
export function withModel(bytes: Buffer, model: string, name: string): Buffer {
  return model === name ? bytes : spliceJson(bytes, { model: JSON.stringify(name) });
}
