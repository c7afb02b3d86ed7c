// An MCP server over stdio, as a test's child process. `modern`: it refuses the handshake of older clients.
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { noteStart, registerTools } from './mcp-tools.mjs';

const [mode, starts] = process.argv.slice(2);
noteStart(starts);
serveStdio(() => registerTools(new McpServer({ name: 'test', version: '1.0.0' })), {
  legacy: mode === 'modern' ? 'reject' : 'serve',
});
