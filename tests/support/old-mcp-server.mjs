// An MCP server over stdio of the first generation of the packages, as a test's child process.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { noteStart, registerTools } from './mcp-tools.mjs';

noteStart(process.argv[2]);
// It ends on whatever comes before the handshake, as servers of some other packages do.
process.stdin.once('data', (first) => {
  if (!String(first).includes('"initialize"')) process.exit(1);
});
await registerTools(new McpServer({ name: 'test', version: '1.0.0' })).connect(new StdioServerTransport());
