import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'dotenv';
import { z } from 'zod';
import { findUp, repositoryRoot } from './find-up.ts';

/** Values by full variable name, `GATEWAY__PORT`. */
export type Variables = Record<string, string | undefined>;

/** Returns the environment as it is now, over the nearest `.env` from `cwd` up to the repository's root. */
export function readVariables(cwd = process.cwd()): Variables {
  const file = findUp('.env', cwd);
  return { ...(file === undefined ? {} : parse(readFileSync(file))), ...process.env };
}

/** Lists all mistakes in the settings, for the person who made them. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  constructor(readonly mistakes: string[]) {
    super(
      `${mistakes.length === 1 ? 'A setting is' : `${mistakes.length} settings are`} wrong:\n${mistakes.map((m) => `  - ${m}`).join('\n')}`,
    );
  }
}

/**
 * Reads the variables `<prefix><NAME>` of `shape` and checks them all. An empty value counts as none.
 * Throws `SettingsError`.
 */
export function loadSettings<S extends z.ZodRawShape>(
  variables: Variables,
  prefix: string,
  shape: S,
): z.infer<z.ZodObject<S>> {
  const values: Record<string, string> = {};
  for (const name of Object.keys(shape)) {
    const value = variables[prefix + name]?.trim();
    if (value !== undefined && value !== '') values[name] = value;
  }
  const result = z.object(shape).safeParse(values);
  if (result.success) return result.data;
  throw new SettingsError(
    result.error.issues.map((issue) => {
      const name = prefix + String(issue.path[0]);
      const given = variables[name]?.trim();
      if (given === undefined || given === '') return `${name} is missing: ${issue.message}`;
      return `${name}=${/KEY|TOKEN|SECRET/.test(name) ? '…' : withoutPassword(given)}: ${issue.message}`;
    }),
  );
}

/** Returns a value as it may be shown: what stands before an @ may be a password, and so may a parameter that says so. */
function withoutPassword(value: string): string {
  return value.replace(/^([\w+.-]*:\/\/)?.*@/s, '$1…@').replace(/(passw\w*|pwd|secret|token|key)=[^&]*/gi, '$1=…');
}

/** Returns the names with this prefix that no setting has: most likely misspelt. */
export function unknownSettings(variables: Variables, prefix: string, shape: z.ZodRawShape): string[] {
  return Object.keys(variables).filter(
    (name) => name.startsWith(prefix) && !Object.hasOwn(shape, name.slice(prefix.length)),
  );
}

const port = z.coerce
  .number('must be a port number')
  .int('must be a port number')
  .min(0, 'must be a port number, 0 to 65535')
  .max(65535, 'must be a port number, 0 to 65535')
  .meta({ title: 'port' });

/** The longest that a timer of Node's can wait, about 24.8 days: what is longer would be over at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

export const milliseconds = z.coerce
  .number('must be a number of milliseconds')
  .int('must be a whole number of milliseconds')
  .min(0, 'must not be negative')
  .max(MAX_TIMER_MS, `must be at most ${MAX_TIMER_MS} (about 24.8 days)`)
  .meta({ title: 'milliseconds' });

/** A value that can be sent as a header: printable ASCII. Messages never show it, as it is often a key. */
export const headerValue = z
  .string()
  .regex(
    /^[\x20-\x7e]*$/,
    'must have no line breaks, and only letters, digits and signs of ASCII: it is sent as a header',
  );

export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' })
  .transform((url) => url.replace(/\/+$/, ''))
  .meta({ title: 'URL' });

/**
 * A service's settings: `prefix` and the name of a field are the name of a variable. docs/settings.md and .env.example are made of them
 * (`npm run generate`), of a field's `description`, its `title` (the kind of value) and `fallback` (a default that only words can tell).
 */
export interface SettingsOfService {
  prefix: string;
  shape: z.ZodRawShape;
}

/** The settings that every service has. */
export function commonSettings({ prefix, port: defaultPort }: { prefix: string; port: number }) {
  return {
    HOST: z
      .string()
      .default('127.0.0.1')
      .describe('The address that it listens on. Beyond loopback its keys must be real ones.'),
    PORT: port.default(defaultPort).describe('The port that it listens on; 0: any that is free.'),
    INTERNAL_API_KEY: requiredKey(`${prefix}INTERNAL_API_KEY`, 'the key that its callers show').meta({
      description:
        'The key that its callers show. Beyond loopback, and with `NODE_ENV=production`, it needs 16 characters and must be no placeholder.',
      fallback: 'none; `npm start` and docker compose write one into `.env`',
    }),
    LOG_LEVEL: z
      .string()
      .toLowerCase()
      .pipe(
        z.enum(
          ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
          'must be one of trace, debug, info, warn, error, fatal, silent',
        ),
      )
      .default('info')
      .describe('How much the log tells.'),
    VERSION: z.string().default('1.0.0').describe('The version that `/health` tells.'),
    SHUTDOWN_TIMEOUT_MS: milliseconds.default(10_000).describe('How long a stop lets running answers finish.'),
  };
}

/** A key that a service does not start without: there is none that everybody knows. `variable` is where a person is to put it. */
export function requiredKey(variable: string, what: string) {
  return z.string({
    error: () =>
      `it is ${what}. Put the line ${variable}=<key> into ${envFileOf(process.cwd())}, or set it in the environment. ` +
      'Make a key with: openssl rand -hex 24 (npm start in the root of the checkout writes .env with all of them)',
  });
}

/** Returns the `.env` that a service started in `cwd` would read, whether there is one or not. */
function envFileOf(cwd: string): string {
  return findUp('.env', cwd) ?? join(repositoryRoot(cwd) ?? cwd, '.env');
}

/** One `.env` serves all: where a service is given no key of another one's of its own, it takes that one's. */
export function withPeerKey(variables: Variables, variable: string, peer: string): Variables {
  return variables[variable]?.trim() ? variables : { ...variables, [variable]: variables[peer] };
}

const PLACEHOLDERS = ['your-internal-key', 'change-me', 'changeme', 'secret', 'password'];
const RUNS = ['0123456789', 'abcdefghijklmnopqrstuvwxyz', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm'];

/** True for a key that keeps anybody out: long, no placeholder, neither a few characters again and again nor a run of them. */
export function isRealKey(key: string): boolean {
  const plain = key.toLowerCase();
  if (key.length < 16 || PLACEHOLDERS.some((placeholder) => plain.replaceAll(placeholder, '') === '')) return false;
  return new Set(plain).size >= 6 && !isRepeated(plain) && !isRun(plain);
}

/** True for a text that is a shorter one, repeated. */
function isRepeated(text: string): boolean {
  return (text + text).indexOf(text, 1) <= text.length / 2;
}

/** True where most of a text goes along the alphabet, the digits, or the keyboard. */
function isRun(text: string): boolean {
  let steps = 0;
  for (let i = 1; i < text.length; i++) {
    const pair = text.slice(i - 1, i + 1);
    const back = `${pair[1]}${pair[0]}`;
    if (RUNS.some((run) => run.includes(pair) || run.includes(back)) || pair === '90' || pair === '09') steps++;
  }
  return steps > text.length / 2;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Throws `SettingsError` where a service would be open to others: beyond loopback, or in production, without real keys. */
export function requireRealKeys(options: {
  prefix: string;
  host: string;
  production: boolean;
  keys: Record<string, string>;
}): void {
  const exposed = !isLoopback(options.host);
  if (!exposed && !options.production) return;
  const why = exposed ? `${options.prefix}HOST=${options.host} is not a loopback address` : 'NODE_ENV is production';
  const mistakes = Object.entries(options.keys)
    .filter(([, key]) => !isRealKey(key))
    .map(
      ([name]) =>
        `${name} must be a key of your own, of at least 16 characters (not the same few again and again), because ${why}. Make one with: openssl rand -hex 24`,
    );
  if (mistakes.length > 0) throw new SettingsError(mistakes);
}

/** Runs each check and throws all mistakes of all of them at once. */
export function collectMistakes<T>(...checks: [() => T, ...Array<(settings: T) => void>]): T {
  const mistakes: string[] = [];
  const attempt = <R>(check: () => R): R | undefined => {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      mistakes.push(...error.mistakes);
      return undefined;
    }
  };
  const [load, ...rest] = checks;
  const settings = attempt(load);
  if (settings !== undefined) for (const check of rest) attempt(() => check(settings));
  if (settings === undefined || mistakes.length > 0) throw new SettingsError(mistakes);
  return settings;
}
