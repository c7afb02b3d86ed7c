// An MCP server over stdio, as a test's child process.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const server = new McpServer({ name: 'test', version: '1.0.0' });
const text = (value) => ({ content: [{ type: 'text', text: value }] });
server.registerTool(
  'echo',
  { description: 'Says it again', inputSchema: { text: z.string() }, annotations: { readOnlyHint: true } },
  ({ text: said }) => text(`${process.pid} ${said}`),
);
server.registerTool(
  'hang',
  { description: 'Never answers', annotations: { readOnlyHint: true } },
  () => new Promise(() => {}),
);
server.registerTool('die', { description: 'Dies', annotations: { readOnlyHint: true } }, () => process.exit(1));
server.registerTool('fail', { description: 'Fails', annotations: { readOnlyHint: true } }, () => ({
  ...text('out of paper'),
  isError: true,
}));
server.registerTool('grow', { description: 'Gets another tool', annotations: { readOnlyHint: true } }, () => {
  server.registerTool('grown', { annotations: { readOnlyHint: true } }, () => text('grown'));
  return text('done');
});
server.registerTool('change', { description: 'Changes something' }, () => text('changed'));
await server.connect(new StdioServerTransport());
