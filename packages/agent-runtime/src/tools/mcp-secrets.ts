import { isOutside, normalizePath } from '@codelab/protocol';
import { createRedactor } from '@codelab/service-kit';

/** What of a server's configuration may hold secrets. */
export interface Secretive {
  url?: string;
  headers?: Record<string, string>;
  env?: Record<string, string>;
}

/** Returns a function that takes out of a text what is configured as a header, in the environment, or as a credential in a URL. */
export function createMcpRedactor({ url, headers = {}, env = {} }: Secretive): (text: string) => string {
  const secrets = Object.values(headers);
  for (const value of Object.values(env)) {
    // Tools tell paths, and are nothing without them.
    if (!isOutside(normalizePath(value))) secrets.push(value);
    secrets.push(...credentialsOf(value));
  }
  if (url !== undefined) secrets.push(...credentialsOf(url));
  return createRedactor(secrets, { cutOff: false });
}

function credentialsOf(url: string): string[] {
  if (!URL.canParse(url)) return [];
  const { username, password, searchParams } = new URL(url);
  const pair = [username, password].map(decoded).join(':');
  return [username, password, decoded(username), decoded(password), btoa(encodeURI(pair)), ...searchParams.values()];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns what is logged of a failure: its name and code, and none of its words, which may be a person's or a server's. */
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
