import { isOutside, normalizePath } from '@codelab/protocol';
import { createRedactor } from '@codelab/service-kit';

/** The parts of a server's configuration that may hold secrets. */
export interface Secretive {
  url?: string;
  headers?: Record<string, string>;
  env?: Record<string, string>;
  /** Variables of the environment that its entry uses, anywhere. */
  variables?: Record<string, string>;
}

/** Returns a function that redacts the configured headers, environment variables and credentials of URLs in a text. */
export function createMcpRedactor({
  url,
  headers = {},
  env = {},
  variables = {},
}: Secretive): (text: string) => string {
  const secrets = Object.values(headers);
  for (const value of [...Object.values(env), ...Object.values(variables)]) {
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

/** Returns the loggable part of an error: its name, and its status or innermost code. Its message may quote a person or a server. */
export function failureOf(error: unknown): { failure: string; code?: string | number } {
  const { name } = error as { name?: unknown };
  const code = codeOf(error);
  return {
    failure: typeof name === 'string' && /^\w{1,40}$/.test(name) ? name : 'Error',
    ...(code === undefined ? {} : { code }),
  };
}

function codeOf(error: unknown, depth = 0): string | number | undefined {
  if (typeof error !== 'object' || error === null || depth > 5) return undefined;
  const { status, code, cause } = error as { status?: unknown; code?: unknown; cause?: unknown };
  if (typeof status === 'number') return status;
  const inner = codeOf(cause, depth + 1);
  if (inner !== undefined) return inner;
  return typeof code === 'number' || (typeof code === 'string' && /^[A-Z0-9_]{1,40}$/.test(code)) ? code : undefined;
}
