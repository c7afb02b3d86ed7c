import { isOutside, normalizePath } from '@codelab/protocol';

/** Shorter values are not redacted: they would be found in ordinary words. */
const SHORTEST = 8;
const CENSOR = '[redacted]';

/** The parts of a server's configuration that may hold secrets. */
export interface Secretive {
  url?: string;
  headers?: Record<string, string>;
  env?: Record<string, string>;
}

/** Returns a function that redacts the configured headers, environment variables and credentials of URLs in a text. */
export function createMcpRedactor({ url, headers = {}, env = {} }: Secretive): (text: string) => string {
  const known = new Set<string>();
  const add = (secret: string) => {
    // Of `Bearer <key>` the key alone is one.
    for (const part of [secret, ...secret.split(/\s+/)])
      if (part.length >= SHORTEST)
        for (const form of [part, JSON.stringify(part).slice(1, -1), encodeURIComponent(part)]) known.add(form);
  };
  for (const value of Object.values(headers)) add(value);
  for (const value of Object.values(env)) {
    // A path is no secret, and tools name paths all the time.
    if (!isOutside(normalizePath(value))) add(value);
    for (const secret of credentialsOf(value)) add(secret);
  }
  if (url !== undefined) for (const secret of credentialsOf(url)) add(secret);
  const longestFirst = [...known].sort((a, b) => b.length - a.length);
  return (text) => longestFirst.reduce((rest, secret) => rest.replaceAll(secret, CENSOR), text);
}

function credentialsOf(url: string): string[] {
  if (!URL.canParse(url)) return [];
  const { username, password, searchParams } = new URL(url);
  const pair = [username, password].map(decodeUrlPart).join(':');
  return [
    username,
    password,
    decodeUrlPart(username),
    decodeUrlPart(password),
    btoa(encodeURI(pair)),
    ...searchParams.values(),
  ];
}

function decodeUrlPart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns the loggable part of an error: its name and code. Its message may quote a person or a server. */
export function failureOf(error: unknown): { failure: string; code?: string | number } {
  const { name, code, cause } = error as { name?: unknown; code?: unknown; cause?: { code?: unknown } };
  const known = [code, cause?.code].find(
    (each) => typeof each === 'number' || /^[A-Z0-9_]{1,40}$/.test(String(each ?? '')),
  );
  return {
    failure: typeof name === 'string' && /^\w{1,40}$/.test(name) ? name : 'Error',
    ...(known === undefined ? {} : { code: known as string | number }),
  };
}
