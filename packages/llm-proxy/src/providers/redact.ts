/** So much of a secret's beginning is recognised where the rest is cut off. */
const BEGINNING = 12;
/** What is shorter is no secret, and would be found in ordinary words. */
const SHORTEST = 8;
const CENSOR = '[redacted]';

/** Returns a function that takes `secrets` out of a text: whole, cut off, or escaped as in JSON and in URLs. */
export function createRedactor(secrets: Array<string | undefined>): (text: string) => string {
  const known = new Set<string>();
  for (const secret of secrets) {
    // Of `Bearer <key>` the key alone is one.
    for (const part of [secret ?? '', ...(secret ?? '').split(/\s+/)])
      if (part.length >= SHORTEST)
        for (const form of [part, JSON.stringify(part).slice(1, -1), encodeURIComponent(part)]) known.add(form);
  }
  const longestFirst = [...known].sort((a, b) => b.length - a.length);
  return (text) => longestFirst.reduce(without, text);
}

function without(text: string, secret: string): string {
  const beginning = secret.slice(0, BEGINNING);
  let out = text;
  for (let at = out.indexOf(beginning); at !== -1; at = out.indexOf(beginning, at + CENSOR.length)) {
    let length = beginning.length;
    while (length < secret.length && out[at + length] === secret[length]) length++;
    out = out.slice(0, at) + CENSOR + out.slice(at + length);
  }
  return out;
}
