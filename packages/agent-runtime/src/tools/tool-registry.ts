import {
  CodelabError,
  type CompletionRequest,
  compileGlob,
  type ToolList,
  type ToolSpec,
  type UnusableTool,
} from '@codelab/protocol';
import type { Agent } from '../agents/agents.ts';
import type { AnnouncedTool, StoredItem } from '../store/store.ts';
import { strictest } from './announced-tools.ts';
import { createFindTools, FIND_TOOLS, selectTools } from './find-tools.ts';
import type { ToolAnswer } from './mcp-result.ts';
import type { SchemaChecker } from './schema-checker.ts';
import type { ServerTool } from './server-tool.ts';

/** Limits the matching of one pattern of an agent's tools. */
const NAME_WORK = 1_000_000;

/** A tool as the run loop calls it. */
export type Tool = ToolSpec &
  (
    | { target: 'client'; clientId: string }
    | { target: 'server'; execute: ServerTool['execute'] }
    | {
        target: 'mcp';
        call: (args: Record<string, unknown>, options: CallOptions) => Promise<ToolAnswer>;
      }
  );

export interface CallOptions {
  signal: AbortSignal;
  timeoutMs: number;
  /** Called with what the tool says of how far it is: each gives it its whole time again. */
  onProgress(message: string, fraction?: number): void;
}

/** Tools of MCP servers, which come and go. */
export interface ToolSource {
  tools(): Tool[];
  /** Returns what cannot be used of the servers, with the reasons. */
  unusable(): UnusableTool[];
  /** Returns a tool that stands in for one whose server has not listed its tools yet, as after a restart; undefined where no server can have it. */
  standIn(name: string): Tool | undefined;
}

/** All tools: agent-runtime's own, those of clients, those of MCP servers. */
export interface ToolRegistry {
  /** Returns the tools that a session's agent may use, by name. Of two with one name agent-runtime's own comes first, then the client's. */
  toolsOf(announced: AnnouncedTool[], agent: Agent): Map<string, Tool>;
  /** Returns those of them that the model is told of, by what the conversation in `items` has found. */
  toolsFor(announced: AnnouncedTool[], agent: Agent, items: readonly StoredItem[]): Tool[];
  /** Like `toolsOf`, with stand-ins for those of `names` whose MCP servers are still starting: for calls from before a restart. */
  toolsAgain(announced: AnnouncedTool[], agent: Agent, names: string[]): Map<string, Tool>;
  /** Returns all tools of a session, whatever its agent. */
  list(announced: AnnouncedTool[]): ToolList;
  /** Throws `VALIDATION` where a tool has the name of a server tool, or a schema that can't be used. */
  check(tools: ToolSpec[]): Promise<void>;
  /** Returns why the arguments cannot be used, for the model; undefined where they are valid. */
  validateArguments(tool: ToolSpec, args: unknown, signal?: AbortSignal): Promise<string | undefined>;
}

export interface ToolRegistryOptions {
  server: ServerTool[];
  mcp: ToolSource;
  schemas: SchemaChecker;
  /** How many tools the model is told of, before those of MCP servers are to be found. */
  maxTools: number;
}

export function createToolRegistry({ server, mcp, schemas, maxTools }: ToolRegistryOptions): ToolRegistry {
  const own: Tool[] = server.map(({ spec, execute }) => ({ ...spec, target: 'server', execute }));

  const all = (announced: AnnouncedTool[]): Map<string, Tool> => {
    const tools = new Map(mcp.tools().map((tool) => [tool.name, tool]));
    for (const tool of announced) {
      if (tool.isGone === true) continue;
      // A client's tool in place of an MCP server's is at least as strict.
      const kind = strictest(tool.kind, tools.get(tool.name)?.kind);
      tools.set(tool.name, { ...tool, kind, target: 'client' });
    }
    for (const tool of own) tools.set(tool.name, tool);
    return tools;
  };

  const ofAgent = (tools: Map<string, Tool>, agent: Agent): Map<string, Tool> => {
    if (agent.tools === undefined) return withFinder(tools);
    const wanted = agent.tools.map(toNameTest);
    return withFinder(new Map([...tools].filter(([name]) => wanted.some((isWanted) => isWanted(name)))));
  };
  const withFinder = (tools: Map<string, Tool>): Map<string, Tool> => {
    tools.delete(FIND_TOOLS);
    if (tools.size <= maxTools || ![...tools.values()].some(({ target }) => target === 'mcp')) return tools;
    const { spec, execute } = createFindTools([...tools.values()]);
    return new Map([...tools, [FIND_TOOLS, { ...spec, target: 'server', execute }]]);
  };
  const toolsOf: ToolRegistry['toolsOf'] = (announced, agent) => {
    // The thread starts while the model answers.
    if (announced.length > 0) schemas.warmUp();
    return ofAgent(all(announced), agent);
  };

  return {
    toolsOf,
    toolsFor: (announced, agent, items) => selectTools(toolsOf(announced, agent), items, maxTools),

    toolsAgain(announced, agent, names) {
      const tools = all(announced);
      for (const name of names) {
        const tool = tools.has(name) ? undefined : mcp.standIn(name);
        if (tool !== undefined) tools.set(name, tool);
      }
      return ofAgent(tools, agent);
    },

    list(announced) {
      const unusable = mcp.unusable();
      return {
        tools: [...withFinder(all(announced)).values()].map(
          ({ name, description, inputSchema, kind, resource, timeoutMs, target }) => ({
            name,
            description,
            inputSchema,
            kind,
            target,
            ...(resource === undefined ? {} : { resource }),
            ...(timeoutMs === undefined ? {} : { timeoutMs }),
          }),
        ),
        ...(unusable.length === 0 ? {} : { unusable }),
      };
    },

    async check(tools) {
      const details: Array<{ path: string; message: string }> = [];
      const names = new Set<string>();
      for (const [index, tool] of tools.entries()) {
        const path = `tools.${index}`;
        if (tool.name === FIND_TOOLS || own.some(({ name }) => name === tool.name))
          details.push({ path: `${path}.name`, message: `"${tool.name}" is a tool of agent-runtime's own` });
        if (names.has(tool.name)) details.push({ path: `${path}.name`, message: `"${tool.name}" is there twice` });
        names.add(tool.name);
        // Checking stops at the first error: each schema may take its time.
        if (details.length > 0) continue;
        const invalid = await schemas.validateSchema(tool.inputSchema);
        if (invalid !== undefined) details.push({ path: `${path}.inputSchema`, message: invalid });
      }
      if (details.length > 0)
        throw new CodelabError('VALIDATION', details.map(({ path, message }) => `${path}: ${message}`).join('; '), {
          details,
        });
    },

    validateArguments: (tool, args, signal) => schemas.validateArguments(tool.inputSchema, args, signal),
  };
}

/** Converts tools to the form of a completion request. By name, whatever order they were announced in: providers cache what stays the same. */
export function toCompletionTools(tools: Iterable<Tool>): NonNullable<CompletionRequest['tools']> {
  const sorted = [...tools].sort((a, b) => (a.name < b.name ? -1 : 1));
  return sorted.map(({ name, description, inputSchema }) => ({
    type: 'function',
    function: { name, description, parameters: withoutDialect(inputSchema) },
  }));
}

function withoutDialect({ $schema: _, ...schema }: ToolSpec['inputSchema']): Record<string, unknown> {
  return schema;
}

/** Compiles a name, a glob, or a negated one with `!` in front. */
function toNameTest(pattern: string): (name: string) => boolean {
  const isNegated = pattern.startsWith('!');
  const test = compileGlob(isNegated ? pattern.slice(1) : pattern, { over: 'path' });
  return (name) => test(name, { left: NAME_WORK }) === !isNegated;
}
