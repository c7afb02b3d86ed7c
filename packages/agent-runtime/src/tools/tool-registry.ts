import { CodelabError, type CompletionRequest, compileGlob, type SessionTool, type ToolSpec } from '@codelab/protocol';
import type { Agent } from '../agents/agents.ts';
import type { AnnouncedTool } from '../store/store.ts';
import { strictest } from './announced-tools.ts';
import type { SchemaChecker } from './schema-checker.ts';
import type { ServerTool } from './server-tool.ts';

/** For the names that an agent's tools are chosen by. */
const NAME_WORK = 1_000_000;

/** A tool as the run loop calls it. */
export type Tool = ToolSpec &
  (
    | { target: 'client'; clientId: string }
    | { target: 'server'; execute: ServerTool['execute'] }
    | {
        target: 'mcp';
        call: (args: Record<string, unknown>, options: { signal: AbortSignal; timeoutMs: number }) => Promise<string>;
      }
  );

/** Tools that come and go with their servers. */
export interface ToolSource {
  tools(): Tool[];
  /** What calls a tool whose server has not said yet what it has, as after a restart; undefined where no server can have it. */
  standIn(name: string): Tool | undefined;
}

/** All the tools there are, whoever runs them. */
export interface ToolRegistry {
  /** The tools of a session, by name, as its agent may use them. Of two with one name agent-runtime's own comes first, then the client's. */
  toolsOf(announced: AnnouncedTool[], agent: Agent): Map<string, Tool>;
  /** Those and, of `names`, the tools of MCP servers that are still starting: of calls that were made before a restart. */
  toolsAgain(announced: AnnouncedTool[], agent: Agent, names: string[]): Map<string, Tool>;
  /** All the tools of a session, whatever its agent. */
  list(announced: AnnouncedTool[]): SessionTool[];
  /** Throws `VALIDATION` where one is named as one of ours, or has a schema that can't be used. */
  check(tools: ToolSpec[]): Promise<void>;
  /** What does not fit the tool's schema, or why that can't be told, for the model; or undefined. */
  mistakesOf(tool: ToolSpec, args: unknown, signal?: AbortSignal): Promise<string | undefined>;
}

export interface ToolRegistryOptions {
  server: ServerTool[];
  mcp: ToolSource;
  schemas: SchemaChecker;
}

export function createToolRegistry({ server, mcp, schemas }: ToolRegistryOptions): ToolRegistry {
  const own: Tool[] = server.map(({ spec, execute }) => ({ ...spec, target: 'server', execute }));

  const all = (announced: AnnouncedTool[]): Map<string, Tool> => {
    const tools = new Map(mcp.tools().map((tool) => [tool.name, tool]));
    for (const tool of announced) {
      if (tool.isGone === true) continue;
      // One that stands in an MCP server's place is not thereby more harmless.
      const kind = strictest(tool.kind, tools.get(tool.name)?.kind);
      tools.set(tool.name, { ...tool, kind, target: 'client' });
    }
    for (const tool of own) tools.set(tool.name, tool);
    return tools;
  };

  const ofAgent = (tools: Map<string, Tool>, agent: Agent): Map<string, Tool> => {
    if (agent.tools === undefined) return tools;
    const wanted = agent.tools.map(toNameTest);
    return new Map([...tools].filter(([name]) => wanted.some((isWanted) => isWanted(name))));
  };

  return {
    toolsOf(announced, agent) {
      // While the model is asked, there is time.
      if (announced.length > 0) schemas.warmUp();
      return ofAgent(all(announced), agent);
    },

    toolsAgain(announced, agent, names) {
      const tools = all(announced);
      for (const name of names) {
        const tool = tools.has(name) ? undefined : mcp.standIn(name);
        if (tool !== undefined) tools.set(name, tool);
      }
      return ofAgent(tools, agent);
    },

    list: (announced) =>
      [...all(announced).values()].map(({ name, description, inputSchema, kind, resource, timeoutMs, target }) => ({
        name,
        description,
        inputSchema,
        kind,
        target,
        ...(resource === undefined ? {} : { resource }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      })),

    async check(tools) {
      const details: Array<{ path: string; message: string }> = [];
      const names = new Set<string>();
      for (const [index, tool] of tools.entries()) {
        const path = `tools.${index}`;
        if (own.some(({ name }) => name === tool.name))
          details.push({ path: `${path}.name`, message: `"${tool.name}" is a tool of agent-runtime's own` });
        if (names.has(tool.name)) details.push({ path: `${path}.name`, message: `"${tool.name}" is there twice` });
        names.add(tool.name);
        // The first that can't be used is reason enough: each may take its time.
        if (details.length > 0) continue;
        const fault = await schemas.faultOf(tool.inputSchema);
        if (fault !== undefined) details.push({ path: `${path}.inputSchema`, message: fault });
      }
      if (details.length > 0)
        throw new CodelabError('VALIDATION', details.map(({ path, message }) => `${path}: ${message}`).join('; '), {
          details,
        });
    },

    mistakesOf: (tool, args, signal) => schemas.mistakesOf(tool.inputSchema, args, signal),
  };
}

/** A tool as providers are told of it. */
export function toCompletionTools(tools: Iterable<Tool>): NonNullable<CompletionRequest['tools']> {
  return [...tools].map(({ name, description, inputSchema }) => ({
    type: 'function',
    function: { name, description, parameters: withoutDialect(inputSchema) },
  }));
}

function withoutDialect({ $schema: _, ...schema }: ToolSpec['inputSchema']): Record<string, unknown> {
  return schema;
}

/** A name, a glob, or with `!` in front all that it does not cover. */
function toNameTest(pattern: string): (name: string) => boolean {
  const isNegated = pattern.startsWith('!');
  const test = compileGlob(isNegated ? pattern.slice(1) : pattern, { over: 'path' });
  return (name) => test(name, { left: NAME_WORK }) === !isNegated;
}
