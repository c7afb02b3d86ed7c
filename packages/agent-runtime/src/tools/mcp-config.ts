import { readFileSync } from 'node:fs';
import { SettingsError } from '@codelab/service-kit';
import { z } from 'zod';
import { withoutComments } from '../lib/without-comments.ts';
import { fitName } from './mcp-names.ts';
import { failureOf } from './mcp-secrets.ts';

/** The longest prefix of a server's tools. */
const MAX_PREFIX = 32;

const common = {
  disabled: z.boolean().default(false),
  /** Trusts the server's `readOnlyHint` and `destructiveHint`. Else a person is asked for each call. */
  trustAnnotations: z.boolean().default(false),
  /** Limits the time of a call. Milliseconds. */
  timeoutMs: z.int().min(1).max(3_600_000).optional(),
};
const texts = z.record(z.string(), z.string());
const Local = z.object({
  ...common,
  type: z.literal('stdio').default('stdio'),
  command: z.string().min(1),
  args: z.array(z.string()).default([]),
  env: texts.default({}),
  cwd: z.string().optional(),
});
const Remote = z.object({
  ...common,
  type: z
    .enum(['http', 'streamable-http', 'streamableHttp', 'sse'])
    .transform((type) => (type === 'sse' ? 'sse' : 'http'))
    .optional(),
  url: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }),
  headers: texts.default({}),
});
export type ServerConfig = z.infer<typeof Local> | z.infer<typeof Remote>;

/** Fields of other clients that have no use here; others are not named, for they may be anything. */
const UNUSED_FIELDS = new Set(
  'alwaysAllow autoApprove autoStart chat description dev disabledTools enabled env envFile gallery globalShortcut headers inputs name oauth preferences sandbox timeout tools version watchPaths'.split(
    ' ',
  ),
);

export interface McpEntry {
  /** Begins the names of its tools. */
  prefix: string;
  config: ServerConfig;
  /** The variables of the environment that it uses, which may be secrets. */
  variables: Record<string, string>;
}

/** The servers of a file, by name, and what is wrong with the others. */
export interface McpConfig {
  servers: Map<string, McpEntry>;
  invalid: Map<string, string>;
  warnings: string[];
}

/** Throws `SettingsError` where the file as a whole cannot be used. Quotes only names of servers and fields: a key may stand anywhere in it. */
export function readMcpConfig(file: string, variables: Record<string, string>): McpConfig {
  const wrong = (mistake: string) => new SettingsError([`${file}: ${mistake}`]);
  let text: string;
  try {
    text = withoutComments(readFileSync(file, 'utf8'));
  } catch (error) {
    throw wrong(`it cannot be read: ${failureOf(error).code ?? 'for a reason of the system'}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const [, position] = /at position (\d+)/.exec((error as Error).message) ?? [];
    const line = position === undefined ? '' : `, in line ${text.slice(0, Number(position)).split('\n').length}`;
    throw wrong(`it is not valid JSON${line}`);
  }
  const whole = Fields.safeParse(value);
  if (!whole.success) throw wrong('it must be an object');
  const { mcpServers, servers: listed = mcpServers, ...rest } = whole.data;
  const entries = Fields.safeParse(listed);
  if (!entries.success) throw wrong('it must have "mcpServers" or "servers", an object with an entry for each server');
  return toConfig(entries.data, rest, variables);
}

const Fields = z.record(z.string(), z.unknown());

function toConfig(entries: Fields, rest: Fields, variables: Record<string, string>): McpConfig {
  const found: McpConfig = { servers: new Map(), invalid: new Map(), warnings: unusedFields(rest, {}, 'the file') };
  const prefixes = new Set<string>();
  for (const [name, entry] of Object.entries(entries)) {
    let prefix = fitName(name.trim() || 'server', { max: MAX_PREFIX });
    // A name with spaces is as well known by its words.
    const words = name.replace(/[^A-Za-z0-9_-]+/g, '_').replace(/^_+|_+$/g, '');
    if (prefix !== name && words !== '' && words.length <= MAX_PREFIX && !Object.hasOwn(entries, words)) prefix = words;
    if (prefixes.has(prefix)) prefix = fitName(name, { max: MAX_PREFIX, isTaken: true });
    prefixes.add(prefix);
    try {
      const { warnings, ...made } = toServerConfig(entry, variables, `the server "${prefix}"`);
      found.warnings.push(...warnings);
      found.servers.set(name, { prefix, ...made });
    } catch (error) {
      if (!(error instanceof Mistake)) throw error;
      found.invalid.set(prefix, error.message);
    }
  }
  return found;
}

type Fields = Record<string, unknown>;

/** A mistake in the entry of one server. */
class Mistake extends Error {}

function toServerConfig(entry: unknown, variables: Record<string, string>, where: string) {
  const fields = Fields.safeParse(entry);
  if (!fields.success) throw new Mistake('it must be an object');
  const { serverUrl, url = serverUrl, ...others } = fields.data;
  const isLocal = others.command !== undefined;
  if (!isLocal && url === undefined) throw new Mistake('it needs a command or a url');
  const schema = isLocal ? Local : Remote;
  const used: Record<string, string> = {};
  const parsed = schema.safeParse(expand(isLocal ? others : { ...others, url }, variables, used));
  if (!parsed.success)
    throw new Mistake(
      parsed.error.issues
        .map(({ path: [field, ...deeper], message }) => `${String(field)}${deeper.length > 0 ? '.…' : ''}: ${message}`)
        .join('; '),
    );
  return { config: parsed.data, variables: used, warnings: unusedFields(others, schema.shape, where) };
}

function unusedFields(fields: Fields, known: object, where: string): string[] {
  const names = Object.keys(fields).filter((name) => !Object.hasOwn(known, name));
  const named = names.filter((name) => UNUSED_FIELDS.has(name));
  const others = names.length - named.length;
  return [
    ...named.map((name) => `${where} has the field ${name}, which has no use here`),
    ...(others === 0
      ? []
      : [`${where} has ${others === 1 ? 'a field that is' : `${others} fields that are`} not known`]),
  ];
}

/** Expands `${NAME}`, `${env:NAME}`, `${NAME:-default}` and `${userHome}` in all texts, and notes what was `used`. Throws `Mistake`. */
function expand(value: unknown, variables: Record<string, string>, used: Record<string, string>): unknown {
  if (Array.isArray(value)) return value.map((each) => expand(each, variables, used));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, expand(each, variables, used)]));
  if (typeof value !== 'string') return value;
  return value.replace(/\$\{([^{}]*)\}/g, (_, expression: string) => {
    const [, name, fallback] = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]{0,99})(?::-(.*))?$/s.exec(expression) ?? [];
    if (name === undefined)
      throw new Mistake(
        expression.startsWith('input:')
          ? `it uses \${input:…}, which asks a person: use \${env:NAME}`
          : `it has a \${…} that is no variable of the environment`,
      );
    const found = name === 'userHome' ? (variables.HOME ?? variables.USERPROFILE) : own(variables, name);
    if (found !== undefined) used[name] = found;
    const expanded = found ?? fallback;
    if (expanded !== undefined) return expanded;
    throw new Mistake(`it uses \${${name}}, which is not set, or not listed in AGENT_RUNTIME__MCP_VARIABLES`);
  });
}

function own(variables: Record<string, string>, name: string): string | undefined {
  return Object.hasOwn(variables, name) ? variables[name] : undefined;
}
