import { existsSync } from 'node:fs';
import { type Logger, SettingsError, watchConfig } from '@codelab/service-kit';
import { type McpConfig, readMcpConfig } from './mcp-config.ts';
import { type McpServer, startMcpServer } from './mcp-connection.ts';
import { fitName } from './mcp-names.ts';
import { failureOf } from './mcp-secrets.ts';
import type { SchemaChecker } from './schema-checker.ts';
import type { Tool, ToolSource } from './tool-registry.ts';

export interface McpServers extends ToolSource {
  close(): Promise<void>;
}

export interface McpServersOptions {
  file: string | undefined;
  /** The environment, as far as the file may use it. */
  variables: Record<string, string>;
  schemas: SchemaChecker;
  log: Logger;
}

/**
 * Starts the MCP servers of the file, restarts them when they end, and reloads the file when it is saved. An entry that is wrong is logged
 * and left out. Throws `SettingsError` where the first version is wrong as a whole.
 */
export function startMcpServers({ file, variables, schemas, log }: McpServersOptions): McpServers {
  if (file === undefined)
    return { tools: () => [], unusable: () => [], standIn: () => undefined, close: async () => {} };
  if (!existsSync(file)) throw new SettingsError([`AGENT_RUNTIME__MCP_CONFIG=${file}: there is no such file`]);
  const servers = new Map<string, { made: string; prefix: string; server: McpServer }>();
  let invalid: McpConfig['invalid'] = new Map();

  const apply = (config: McpConfig) => {
    invalid = config.invalid;
    for (const warning of config.warnings)
      log.warn({ path: file, event: 'mcp.config_unused' }, `the list of MCP servers: ${warning}`);
    for (const [prefix, mistake] of invalid)
      log.error(
        { path: file, mcpServer: prefix, mistake, event: 'mcp.config_invalid' },
        'an MCP server cannot be used',
      );
    for (const [name, { made, prefix, server }] of servers) {
      const next = config.servers.get(name);
      // An entry that has become wrong stays as it was.
      if (next === undefined ? invalid.has(prefix) : JSON.stringify(next) === made) continue;
      servers.delete(name);
      void server.close();
    }
    for (const [name, next] of config.servers) {
      if (servers.has(name) || next.config.disabled) continue;
      const server = startMcpServer(next, schemas, log);
      servers.set(name, { made: JSON.stringify(next), prefix: next.prefix, server });
    }
    return { servers: [...servers.values()].map(({ prefix }) => prefix) };
  };
  const watcher = watchConfig([file], {
    name: 'the list of MCP servers',
    read: () => readMcpConfig(file, variables),
    apply,
    toLogFields: failureOf,
    log,
  });
  return {
    tools() {
      const tools = new Map<string, Tool>();
      for (const { server } of servers.values())
        for (const tool of server.tools()) {
          const name = tools.has(tool.name) ? fitName(tool.name, { isTaken: true }) : tool.name;
          tools.set(name, { ...tool, name });
        }
      return [...tools.values()];
    },
    unusable: () => [
      ...[...invalid].map(([server, reason]) => ({ server, reason })),
      ...[...servers.values()].flatMap(({ server }) => server.unusable()),
    ],
    standIn(name) {
      for (const { prefix, server } of servers.values())
        if (name.startsWith(`${prefix}_`)) {
          const tool = server.standIn(name);
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
