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
import type { Client } from '@modelcontextprotocol/client';
import { withTimeout } from '../lib/with-timeout.ts';
import type { McpEntry } from './mcp-config.ts';
import { CONNECT_TIMEOUT_MS, connectMcp } from './mcp-connect.ts';
import { fitName } from './mcp-names.ts';
import { type McpAnswer, toToolAnswer } from './mcp-result.ts';
import { createMcpRedactor, failureOf } from './mcp-secrets.ts';
import { type ListedTool, type ToolWatch, watchTools } from './mcp-tool-list.ts';
import type { SchemaChecker } from './schema-checker.ts';
import type { Tool } from './tool-registry.ts';

const CHECK_EVERY_MS = 20_000;
const RESTART_MS = 500;
const MAX_RESTART_MS = 30_000;
const MAX_RESULT = 8 * 1024 * 1024;
const MAX_PROGRESS = 2_000;

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
  let nextCheck: NodeJS.Timeout | undefined;

  const start = async (): Promise<void> => {
    let next: Client | undefined;
    let watched: ToolWatch;
    try {
      next = await connectMcp(config, child);
      watched = await watchTools(next, async (listed) => {
        ({ tools, unusable } = await toTools(listed));
      });
    } catch (err) {
      await next?.close().catch(() => {});
      return again(err);
    }
    if (isClosed) return void next.close();
    client = next;
    failures = 0;
    child.info(
      { tools: (tools ?? []).map((tool) => clean(tool.name)), event: 'mcp.connect' },
      'connected to the MCP server',
    );
    const lost = (err: unknown) => {
      if (client !== next) return;
      client = undefined;
      clearTimeout(nextCheck);
      next.close().catch(() => {});
      again(err);
    };
    next.onclose = () => lost(Object.assign(new Error('it closed the connection'), { code: 'CLOSED' }));
    const check = () => {
      if (client !== next) return;
      nextCheck = setTimeout(() => void watched.check().then(check, lost), CHECK_EVERY_MS);
    };
    check();
  };
  const again = (err: unknown): void => {
    if (isClosed) return;
    const delay = Math.min(RESTART_MS * 2 ** failures++, MAX_RESTART_MS);
    child.warn({ ...failureOf(err), delay, event: 'mcp.restart' }, 'the MCP server is not available, restarting it');
    restart = setTimeout(() => void start(), delay);
  };

  const toTools = async (listed: ListedTool[]): Promise<{ tools: McpTool[]; unusable: UnusableTool[] }> => {
    const usable: McpTool[] = [];
    const skipped: UnusableTool[] = [];
    let bytes = 0;
    for (const tool of listed) {
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
      if (tool.name === '') {
        skip('it has no name');
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
      else {
        const original = tool.name;
        const { inputSchema } = spec.data;
        usable.push({ ...spec.data, target: 'mcp', original, call: callOf(() => ({ original, inputSchema })) });
      }
    }
    return { tools: usable, unusable: skipped };
  };

  const callOf =
    (toolOf: () => Pick<McpTool, 'original' | 'inputSchema'>): McpTool['call'] =>
    async (args, { signal, timeoutMs, onProgress }) => {
      if (client === undefined && tools === undefined)
        await withTimeout(Math.min(timeoutMs, CONNECT_TIMEOUT_MS), firstAttempt);
      if (client === undefined) throw new Error(`The MCP server "${name}" is not running: it is being started again.`);
      try {
        const { original, inputSchema } = toolOf();
        const call = { name: original, arguments: args };
        const result = await client.callTool(call, {
          // Without its `outputSchema`: structured results go to the model as text, so that theirs do not matter.
          toolDefinition: { name: original, inputSchema },
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
      const inputSchema = { type: 'object' as const };
      const listed = () =>
        tools?.find((tool) => tool.name === known) ?? { original: known.slice(name.length + 1), inputSchema };
      return { name: known, description: '', inputSchema, kind: 'execute', target: 'mcp', call: callOf(listed) };
    },
    async close() {
      isClosed = true;
      clearTimeout(restart);
      clearTimeout(nextCheck);
      const last = client;
      client = undefined;
      await last?.close().catch(() => {});
    },
  };
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
