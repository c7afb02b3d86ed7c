import { existsSync, readFileSync } from 'node:fs';
import {
  CodelabError,
  MAX_TOOLS,
  MAX_TOOLS_BYTES,
  type ToolKind,
  ToolSpec,
  toolBytes,
  wholePart,
} from '@codelab/protocol';
import { type Logger, SettingsError, watchConfig } from '@codelab/service-kit';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  ErrorCode,
  McpError,
  type Tool as McpTool,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import type { JsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/types.js';
import { z } from 'zod';
import { withTimeout } from '../lib/with-timeout.ts';
import { createMcpRedactor, failureOf } from './mcp-secrets.ts';
import type { SchemaChecker } from './schema-checker.ts';
import type { Tool, ToolSource } from './tool-registry.ts';

const CONNECT_TIMEOUT_MS = 15_000;
const PING_EVERY_MS = 20_000;
const PING_TIMEOUT_MS = 10_000;
const RESTART_MS = 500;
const MAX_RESTART_MS = 30_000;
const MAX_PAGES = 100;
const MAX_RESULT = 8 * 1024 * 1024;

const common = {
  disabled: z.boolean().default(false),
  /** Trusts the server's `readOnlyHint` and `destructiveHint`. Else a person is asked for each call. */
  trustAnnotations: z.boolean().default(false),
  /** Limits the time of a call. Milliseconds. */
  timeoutMs: z.int().min(1).max(3_600_000).optional(),
};
const ServerConfig = z.union([
  z.strictObject({
    ...common,
    command: z.string().min(1),
    args: z.array(z.string()).default([]),
    env: z.record(z.string(), z.string()).default({}),
    cwd: z.string().optional(),
    type: z.literal('stdio').optional(),
  }),
  z.strictObject({
    ...common,
    url: z.url({ protocol: /^https?$/ }),
    headers: z.record(z.string(), z.string()).default({}),
    type: z.enum(['http', 'streamable-http']).optional(),
  }),
]);
type ServerConfig = z.infer<typeof ServerConfig>;

const NAME = /^[A-Za-z0-9_-]{1,32}$/;

/** The format that other MCP clients use, too: `{"mcpServers": {"name": {"command", "args", "env"} or {"url", "headers"}}}`. */
const McpConfig = z.strictObject({
  mcpServers: z.record(z.string().regex(NAME, 'a name has 1 to 32 characters of A-Z a-z 0-9 _ -'), ServerConfig),
});

export interface McpServers extends ToolSource {
  close(): Promise<void>;
}

/** Starts the MCP servers of the file, restarts them when they end, and reloads the file when it is saved. Throws `SettingsError` where its first version is invalid. */
export function startMcpServers(file: string | undefined, schemas: SchemaChecker, log: Logger): McpServers {
  if (file === undefined) return { tools: () => [], standIn: () => undefined, close: async () => {} };
  if (!existsSync(file)) throw new SettingsError([`AGENT_RUNTIME__MCP_CONFIG=${file}: there is no such file`]);
  const servers = new Map<string, { config: string; server: McpServer }>();

  const apply = ({ mcpServers }: z.infer<typeof McpConfig>) => {
    for (const [name, { config, server }] of servers) {
      if (JSON.stringify(mcpServers[name]) === config) continue;
      servers.delete(name);
      void server.close();
    }
    for (const [name, config] of Object.entries(mcpServers)) {
      if (servers.has(name) || config.disabled) continue;
      servers.set(name, { config: JSON.stringify(config), server: startServer(name, config, schemas, log) });
    }
    return { servers: [...servers.keys()] };
  };
  const watcher = watchConfig(file, {
    name: 'the list of MCP servers',
    read: () => readConfig(file),
    apply,
    toLogFields: failureOf,
    log,
  });
  return {
    tools: () => [...servers.values()].flatMap(({ server }) => server.tools()),
    standIn(name) {
      for (const [prefix, { server }] of servers)
        if (name.startsWith(`${prefix}_`)) {
          const tool = server.standIn(name.slice(prefix.length + 1));
          if (tool !== undefined) return tool;
        }
      return undefined;
    },
    async close() {
      watcher.close();
      await Promise.all([...servers.values()].map(({ server }) => server.close()));
    },
  };
}

/** Throws `SettingsError`, which quotes only names of servers and fields: a key may stand anywhere in the file. */
function readConfig(file: string): z.infer<typeof McpConfig> {
  const wrong = (mistakes: string[]) => new SettingsError(mistakes.map((mistake) => `${file}: ${mistake}`));
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrong([`it cannot be read: ${failureOf(error).code ?? 'for a reason of the system'}`]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const [, position] = /at position (\d+)/.exec((error as Error).message) ?? [];
    const line = position === undefined ? '' : `, in line ${text.slice(0, Number(position)).split('\n').length}`;
    throw wrong([`it is not valid JSON${line}`]);
  }
  const parsed = McpConfig.safeParse(value);
  if (parsed.success) return parsed.data;
  throw wrong(
    parsed.error.issues.map(({ code, path, message }) => {
      const where = path
        .map(String)
        .map((name) => (NAME.test(name) ? name : '…'))
        .join('.');
      return `${where}: ${code === 'unrecognized_keys' ? 'it has a field that is not known' : message}`;
    }),
  );
}

interface McpServer {
  tools(): Tool[];
  /** `tool` is the name without the server's prefix. */
  standIn(tool: string): Tool | undefined;
  close(): Promise<void>;
}

/** Starts a server, and restarts it with backoff when it ends, hangs, or cannot be reached. */
function startServer(name: string, config: ServerConfig, schemas: SchemaChecker, log: Logger): McpServer {
  const child = log.child({ mcpServer: name });
  const clean = createMcpRedactor(config);
  let client: Client | undefined;
  /** The tools as last listed. They stay while the server restarts; a call fails and says so. */
  let tools: Tool[] | undefined;
  let isClosed = false;
  let failures = 0;
  let restart: NodeJS.Timeout | undefined;
  let ping: NodeJS.Timeout | undefined;

  const start = async (): Promise<void> => {
    const next = new Client(
      { name: 'codelab-agent-runtime', version: '1.0.0' },
      { jsonSchemaValidator: { getValidator: acceptAll } },
    );
    next.onerror = (error) =>
      child.debug({ ...failureOf(error), event: 'mcp.protocol_error' }, 'the MCP server broke the protocol');
    try {
      await next.connect(toTransport(config, child), { timeout: CONNECT_TIMEOUT_MS });
      tools = await listTools(next);
    } catch (err) {
      await next.close().catch(() => {});
      return again(err);
    }
    if (isClosed) return void next.close();
    client = next;
    failures = 0;
    child.info({ tools: tools.map((tool) => clean(tool.name)), event: 'mcp.connect' }, 'connected to the MCP server');
    let isListing = false;
    let isStale = false;
    next.setNotificationHandler(ToolListChangedNotificationSchema, async () => {
      isStale = true;
      if (isListing) return;
      isListing = true;
      try {
        for (; isStale && client === next; ) {
          isStale = false;
          tools = await listTools(next);
        }
      } finally {
        isListing = false;
      }
    });
    next.onclose = () => lost(Object.assign(new Error('it closed the connection'), { code: 'CLOSED' }));
    const watch = () => {
      ping = setTimeout(() => {
        next.ping({ timeout: PING_TIMEOUT_MS }).then(watch, (err) => lost(err));
      }, PING_EVERY_MS);
    };
    watch();
    const lost = (err: unknown) => {
      if (client !== next) return;
      client = undefined;
      clearTimeout(ping);
      next.close().catch(() => {});
      again(err);
    };
  };
  const again = (err: unknown): void => {
    if (isClosed) return;
    const delay = Math.min(RESTART_MS * 2 ** failures++, MAX_RESTART_MS);
    child.warn({ ...failureOf(err), delay, event: 'mcp.restart' }, 'the MCP server is not available, restarting it');
    restart = setTimeout(() => void start(), delay);
  };

  const listTools = async (from: Client): Promise<Tool[]> => {
    const found: McpTool[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = await from.listTools(cursor === undefined ? {} : { cursor }, { timeout: CONNECT_TIMEOUT_MS });
      found.push(...page.tools);
      cursor = page.nextCursor;
    } while (cursor !== undefined && found.length < 1_000 && ++pages < MAX_PAGES);
    const usable: Tool[] = [];
    let bytes = 0;
    for (const tool of found) {
      const skip = (reason: string) =>
        child.warn(
          { tool: clean(tool.name), reason: clean(reason), event: 'mcp.tool_skipped' },
          'a tool of the MCP server cannot be used',
        );
      const spec = ToolSpec.safeParse({
        name: `${name}_${tool.name}`,
        description: (tool.description ?? tool.title ?? '').slice(0, 8192).toWellFormed(),
        inputSchema: tool.inputSchema,
        kind: kindOf(tool, config.trustAnnotations),
        ...(config.timeoutMs === undefined ? {} : { timeoutMs: config.timeoutMs }),
      });
      if (!spec.success) {
        skip(spec.error.issues.map(({ message }) => message).join('; '));
        continue;
      }
      bytes += toolBytes(spec.data);
      if (usable.length === MAX_TOOLS || bytes > MAX_TOOLS_BYTES) {
        skip(`the server has more tools than fit: at most ${MAX_TOOLS}, with 1 MiB of descriptions and schemas`);
        continue;
      }
      // Where too much is being checked, the schema is checked at the first call.
      const invalid = await schemas.validateSchema(spec.data.inputSchema).catch(() => undefined);
      if (invalid === undefined) usable.push({ ...spec.data, target: 'mcp', call: callOf(tool.name) });
      else skip(`inputSchema ${invalid}`);
    }
    return usable;
  };

  const callOf =
    (tool: string): Extract<Tool, { target: 'mcp' }>['call'] =>
    async (args, { signal, timeoutMs }) => {
      if (client === undefined && tools === undefined)
        await withTimeout(Math.min(timeoutMs, CONNECT_TIMEOUT_MS), firstAttempt);
      if (client === undefined) throw new Error(`The MCP server "${name}" is not running: it is being started again.`);
      try {
        const result = await client.callTool({ name: tool, arguments: args }, undefined, {
          signal,
          timeout: timeoutMs,
          resetTimeoutOnProgress: true,
          maxTotalTimeout: Math.max(timeoutMs, 3_600_000),
          onprogress: () => {},
        });
        const text = wholePart(clean(toText(result as ToolAnswer)), 0, MAX_RESULT);
        if (result.isError === true) throw new ToolFailure(text || 'The tool failed, and did not say why.');
        return text;
      } catch (error) {
        if (error instanceof ToolFailure) throw error;
        if (error instanceof McpError && error.code === ErrorCode.RequestTimeout)
          throw new CodelabError(
            'TOOL_TIMEOUT',
            `The MCP server "${name}" did not answer within ${timeoutMs / 1000} s.`,
          );
        throw new Error(`The MCP server "${name}" failed: ${clean((error as Error).message)}`);
      }
    };

  const firstAttempt = start();
  return {
    tools: () => tools ?? [],
    standIn: (tool) =>
      tools !== undefined
        ? undefined
        : {
            name: `${name}_${tool}`,
            description: '',
            inputSchema: { type: 'object' },
            kind: 'execute',
            target: 'mcp',
            call: callOf(tool),
          },
    async close() {
      isClosed = true;
      clearTimeout(restart);
      clearTimeout(ping);
      const last = client;
      client = undefined;
      await last?.close().catch(() => {});
    },
  };
}

function toTransport(config: ServerConfig, log: Logger): Transport {
  if ('url' in config)
    // biome-ignore lint/suspicious/noExplicitAny: the package's own class does not fit its own interface under exactOptionalPropertyTypes
    return new StreamableHTTPClientTransport(new URL(config.url), { requestInit: { headers: config.headers } }) as any;
  const { command, args, env, cwd } = config;
  const transport = new StdioClientTransport({
    command,
    args,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stderr: 'pipe',
    ...(cwd === undefined ? {} : { cwd }),
  });
  transport.stderr?.on('data', (data: Buffer) =>
    log.debug({ bytes: data.length, event: 'mcp.stderr' }, 'the MCP server wrote to stderr; its text is not logged'),
  );
  return transport as Transport;
}

/** Accepts structured results as they are: they go to the model as text, so their schemas do not matter. */
function acceptAll<T>(): JsonSchemaValidator<T> {
  return (input) => ({ valid: true, data: input as T, errorMessage: undefined });
}

/** Returns the kind of a tool by its annotations. https://modelcontextprotocol.io/specification/2025-06-18/server/tools#tool */
function kindOf({ annotations }: McpTool, isTrusted: boolean): ToolKind {
  if (!isTrusted || annotations === undefined) return 'execute';
  if (annotations.readOnlyHint === true) return 'read';
  return annotations.destructiveHint === false ? 'write' : 'delete';
}

/** A failure that the tool itself reports. */
class ToolFailure extends Error {}

interface ToolAnswer {
  content?: Array<{ type: string; [field: string]: unknown }>;
  structuredContent?: unknown;
}

function toText({ content = [], structuredContent }: ToolAnswer): string {
  const parts = content.map((part) => {
    switch (part.type) {
      case 'text':
        return String(part.text);
      case 'resource': {
        const { text, uri } = part.resource as { text?: string; uri: string };
        return text ?? `[${uri}]`;
      }
      case 'resource_link':
        return `[${String(part.uri)}]`;
      default:
        return `[${part.type}: ${String(part.mimeType)}]`;
    }
  });
  if (parts.length === 0 && structuredContent !== undefined) return JSON.stringify(structuredContent);
  return parts.join('\n');
}
