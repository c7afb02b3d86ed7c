import { isRealKey } from './env.ts';

/** Characters of a secret's beginning that are recognised where the rest is cut off. */
const BEGINNING = 12;
/** The shortest secret: shorter ones would be found in ordinary words. */
export const SHORTEST_SECRET = 8;
const CENSOR = '[redacted]';

export interface RedactorOptions {
  /** Finds a secret by its beginning too, where the rest is cut off. */
  cutOff: boolean;
}

/** Returns a function that takes `secrets` out of a text: as they are, or escaped as in JSON and in URLs. */
export function createRedactor(
  secrets: Array<string | undefined>,
  { cutOff }: RedactorOptions,
): (text: string) => string {
  const known = new Set<string>();
  for (const secret of secrets) {
    // Of `Bearer <key>` the key alone is one.
    for (const part of [secret ?? '', ...(secret ?? '').split(/\s+/)])
      if (part.length >= SHORTEST_SECRET) for (const form of formsOf(part)) known.add(form);
  }
  const longestFirst = [...known].sort((a, b) => b.length - a.length);
  const take = cutOff ? censorSecret : (text: string, secret: string) => text.replaceAll(secret, CENSOR);
  return (text) => longestFirst.reduce(take, text);
}

/** Headers without secrets, though their values may look like one. */
const PUBLIC_HEADERS =
  /^(?:anthropic-(?:beta|version)|openai-.*|(?:http-)?referer|x-title|user-agent|accept.*|content-.*)$/i;
const SECRET_HEADERS = /auth|key|token|secret|cookie|passw|credential|signature|session/i;

/**
 * Creates a function that removes a provider's secrets from its answers, and returns the same bytes if there are none. It finds only whole
 * secrets, and only those that cannot be an ordinary word: answers must not be damaged.
 */
export function createCensor(apiKey: string | undefined, headers: Record<string, string>): (bytes: Buffer) => Buffer {
  const known = new Set<string>();
  if (apiKey !== undefined && isNoWord(apiKey)) for (const form of formsOf(apiKey)) known.add(form);
  for (const [name, value] of Object.entries(headers)) {
    // Of `Bearer <key>` the key alone is one.
    const secret = value.trim().replace(/^\w+\s+/, '');
    const isSecret = SECRET_HEADERS.test(name) ? isNoWord(secret) : !PUBLIC_HEADERS.test(name) && looksLikeKey(secret);
    if (isSecret) for (const form of formsOf(secret)) known.add(form);
  }
  const longestFirst = [...known].sort((a, b) => b.length - a.length).map((form) => Buffer.from(form));
  return (bytes) => {
    let out = bytes;
    for (const secret of longestFirst) {
      // Byte for byte, whatever else is in it.
      if (out.includes(secret))
        out = Buffer.from(out.toString('latin1').replaceAll(secret.toString('latin1'), CENSOR), 'latin1');
    }
    return out;
  };
}

/** False for a key like `placeholder`, which servers without keys are given, and which an answer may well have as a word. */
function isNoWord(key: string): boolean {
  return isRealKey(key) || (key.length >= SHORTEST_SECRET && /\d/.test(key));
}

function looksLikeKey(value: string): boolean {
  return isRealKey(value) && /\d/.test(value) && !/[\s,;]|:\/\//.test(value);
}

/** Returns a secret as it is, as in JSON, and as in a URL. */
function formsOf(secret: string): string[] {
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)];
}

function censorSecret(text: string, secret: string): string {
  const beginning = secret.slice(0, BEGINNING);
  let out = text;
  for (let at = out.indexOf(beginning); at !== -1; at = out.indexOf(beginning, at + CENSOR.length)) {
    let length = beginning.length;
    while (length < secret.length && out[at + length] === secret[length]) length++;
    out = out.slice(0, at) + CENSOR + out.slice(at + length);
  }
  return out;
}
