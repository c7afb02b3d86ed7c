import {
  MAX_TOOLS,
  MAX_TOOLS_BYTES,
  type ToolKind,
  ToolSpec,
  toolBytes,
  type UnusableTool,
  wholePart,
} from '@codelab/protocol';
import { type Logger, MAX_TIMER_MS } from '@codelab/service-kit';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { type Tool as ListedTool, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import type { JsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/types.js';
import { withTimeout } from '../lib/with-timeout.ts';
import type { McpEntry, ServerConfig } from './mcp-config.ts';
import { fitName } from './mcp-names.ts';
import { type McpAnswer, toToolAnswer } from './mcp-result.ts';
import { createMcpRedactor, failureOf } from './mcp-secrets.ts';
import type { SchemaChecker } from './schema-checker.ts';
import type { Tool } from './tool-registry.ts';

const CONNECT_TIMEOUT_MS = 15_000;
const PING_EVERY_MS = 20_000;
const PING_TIMEOUT_MS = 10_000;
const RESTART_MS = 500;
const MAX_RESTART_MS = 30_000;
const MAX_PAGES = 100;
const MAX_LISTED = 1_000;
const MAX_RESULT = 8 * 1024 * 1024;
const MAX_PROGRESS = 2_000;
/** The longest time of a timer. */

/** `original`: its name at the server. */
type McpTool = Extract<Tool, { target: 'mcp' }> & { original: string };

/** One MCP server, which is started again when it ends. */
export interface McpServer {
  tools(): Tool[];
  unusable(): UnusableTool[];
  /** Returns a tool of this full name, while the server's are not known yet. */
  standIn(name: string): Tool | undefined;
  close(): Promise<void>;
}

/** Starts a server, and restarts it with backoff when it ends, hangs, or cannot be reached. */
export function startMcpServer(entry: McpEntry, schemas: SchemaChecker, log: Logger): McpServer {
  const { prefix: name, config, variables } = entry;
  const child = log.child({ mcpServer: name });
  const clean = createMcpRedactor({ ...config, variables });
  let client: Client | undefined;
  /** The tools as last listed. They stay while the server restarts; a call fails and says so. */
  let tools: McpTool[] | undefined;
  let unusable: UnusableTool[] = [];
  let isClosed = false;
  let failures = 0;
  let restart: NodeJS.Timeout | undefined;
  let ping: NodeJS.Timeout | undefined;

  const connect = async (transport: Transport): Promise<Client> => {
    const next = new Client(
      { name: 'codelab-agent-runtime', version: '1.0.0' },
      { jsonSchemaValidator: { getValidator: acceptAll } },
    );
    next.onerror = (error) =>
      child.debug({ ...failureOf(error), event: 'mcp.protocol_error' }, 'the MCP server broke the protocol');
    try {
      await next.connect(transport, { timeout: CONNECT_TIMEOUT_MS });
      tools = await listTools(next);
      return next;
    } catch (error) {
      await next.close().catch(() => {});
      throw error;
    }
  };
  const start = async (): Promise<void> => {
    let next: Client;
    try {
      next = await connect(toTransport(config, child)).catch((error) => {
        if (!isOlderServer(config, error)) throw error;
        return connect(toTransport({ ...config, type: 'sse' }, child));
      });
    } catch (err) {
      return again(err);
    }
    if (isClosed) return void next.close();
    client = next;
    failures = 0;
    child.info(
      { tools: (tools ?? []).map((tool) => clean(tool.name)), event: 'mcp.connect' },
      'connected to the MCP server',
    );
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

  const listTools = async (from: Client): Promise<McpTool[]> => {
    const found: ListedTool[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = await from.listTools(cursor === undefined ? {} : { cursor }, { timeout: CONNECT_TIMEOUT_MS });
      found.push(...page.tools);
      cursor = page.nextCursor;
    } while (cursor !== undefined && found.length < MAX_LISTED && ++pages < MAX_PAGES);
    const usable: McpTool[] = [];
    const skipped: UnusableTool[] = [];
    let bytes = 0;
    for (const tool of found) {
      const skip = (why: string) => {
        const reason = clean(why);
        skipped.push({ server: name, tool: clean(tool.name).slice(0, 200).toWellFormed(), reason });
        child.warn(
          { tool: clean(tool.name), reason, event: 'mcp.tool_skipped' },
          'a tool of the MCP server cannot be used',
        );
      };
      const spec = ToolSpec.safeParse({
        name: fitName(`${name}_${tool.name}`),
        description: (tool.description ?? tool.title ?? '').slice(0, 8192).toWellFormed(),
        inputSchema: tool.inputSchema,
        kind: kindOf(tool, config.trustAnnotations),
        ...(config.timeoutMs === undefined ? {} : { timeoutMs: config.timeoutMs }),
      });
      if (!spec.success) {
        skip(spec.error.issues.map(({ message }) => message).join('; '));
        continue;
      }
      if (usable.some(({ original }) => original === tool.name)) {
        skip('the server has another tool of this name');
        continue;
      }
      bytes += toolBytes(spec.data);
      if (usable.length === MAX_TOOLS || bytes > MAX_TOOLS_BYTES) {
        skip(`the server has more tools than fit: at most ${MAX_TOOLS}, with 1 MiB of descriptions and schemas`);
        continue;
      }
      // Where too much is being checked, the schema is checked at the first call.
      const invalid = await schemas.validateSchema(spec.data.inputSchema).catch(() => undefined);
      if (invalid !== undefined) skip(`inputSchema ${invalid}`);
      else usable.push({ ...spec.data, target: 'mcp', original: tool.name, call: callOf(() => tool.name) });
    }
    unusable = skipped;
    return usable;
  };

  const callOf =
    (originalName: () => string): McpTool['call'] =>
    async (args, { signal, timeoutMs, onProgress }) => {
      if (client === undefined && tools === undefined)
        await withTimeout(Math.min(timeoutMs, CONNECT_TIMEOUT_MS), firstAttempt);
      if (client === undefined) throw new Error(`The MCP server "${name}" is not running: it is being started again.`);
      try {
        const result = await client.callTool({ name: originalName(), arguments: args }, undefined, {
          signal,
          // The caller's clock ends it, by the signal.
          timeout: MAX_TIMER_MS,
          onprogress: (progress) => onProgress(...toProgress(progress, clean)),
        });
        const { text, media } = toToolAnswer(result as McpAnswer);
        const shown = wholePart(clean(text), 0, MAX_RESULT);
        if (result.isError === true) throw new ToolFailure(shown || 'The tool failed, and did not say why.');
        return { text: shown, ...(media === undefined ? {} : { media }) };
      } catch (error) {
        if (error instanceof ToolFailure) throw error;
        throw new Error(`The MCP server "${name}" failed: ${clean((error as Error).message)}`);
      }
    };

  const firstAttempt = start();
  return {
    tools: () => tools ?? [],
    unusable: () => unusable,
    standIn(known) {
      if (tools !== undefined) return undefined;
      // Its own name is known once the tools are.
      const original = () => tools?.find((tool) => tool.name === known)?.original ?? known.slice(name.length + 1);
      const spec = { name: known, description: '', inputSchema: { type: 'object' as const }, kind: 'execute' as const };
      return { ...spec, target: 'mcp', call: callOf(original) };
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

/** True where a server whose kind is not said refuses streamable HTTP: then it may have SSE. https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility */
function isOlderServer(config: ServerConfig, error: unknown): config is Extract<ServerConfig, { url: string }> {
  return 'url' in config && config.type === undefined && [400, 404, 405].includes(Number(failureOf(error).code));
}

function toTransport(config: ServerConfig, log: Logger): Transport {
  if ('url' in config) {
    const url = new URL(config.url);
    const options = { requestInit: { headers: config.headers } };
    if (config.type === 'sse') return new SSEClientTransport(url, options);
    // biome-ignore lint/suspicious/noExplicitAny: the package's own class does not fit its own interface under exactOptionalPropertyTypes
    return new StreamableHTTPClientTransport(url, options) as any;
  }
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
function kindOf({ annotations }: ListedTool, isTrusted: boolean): ToolKind {
  if (!isTrusted || annotations === undefined) return 'execute';
  if (annotations.readOnlyHint === true) return 'read';
  return annotations.destructiveHint === false ? 'write' : 'delete';
}

/** A failure that the tool itself reports. */
class ToolFailure extends Error {}

/** Converts a progress notification to what a person is told. */
function toProgress(
  { progress, total, message }: { progress: number; total?: number | undefined; message?: string | undefined },
  clean: (text: string) => string,
): [message: string, fraction?: number] {
  const said = message ?? (total === undefined ? String(progress) : `${progress} of ${total}`);
  const fraction = total !== undefined && total > 0 ? Math.min(Math.max(progress / total, 0), 1) : undefined;
  const text = wholePart(clean(said), 0, MAX_PROGRESS);
  return fraction === undefined ? [text] : [text, fraction];
}
