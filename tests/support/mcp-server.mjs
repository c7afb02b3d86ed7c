// An MCP server over stdio, as a test's child process.
import { appendFileSync, existsSync } from 'node:fs';
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
server.registerTool(
  'wait',
  {
    description: 'Notes that it began, and waits for a file',
    inputSchema: { begun: z.string(), file: z.string() },
    annotations: { readOnlyHint: true },
  },
  async ({ begun, file }) => {
    appendFileSync(begun, 'begun\n');
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
    return text('waited');
  },
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
server.registerTool(
  'report',
  {
    description: 'Says how far it is, so many times',
    inputSchema: { times: z.number(), every: z.number() },
    annotations: { readOnlyHint: true },
  },
  async ({ times, every }, { _meta, sendNotification }) => {
    for (let progress = 1; progress <= times; progress++) {
      await new Promise((resolve) => setTimeout(resolve, every));
      const params = { progressToken: _meta?.progressToken, progress, total: times, message: `part ${progress}` };
      await sendNotification({ method: 'notifications/progress', params });
    }
    return text('reported');
  },
);
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
server.registerTool('paint', { description: 'Paints', annotations: { readOnlyHint: true } }, () => ({
  content: [
    { type: 'text', text: 'look:' },
    { type: 'image', mimeType: 'image/png', data: png },
    { type: 'resource', resource: { uri: 'paint:brush', mimeType: 'text/plain', text: 'with a brush' } },
  ],
  structuredContent: { colours: 2 },
}));
server.registerTool('change', { description: 'Changes something' }, () => text('changed'));
await server.connect(new StdioServerTransport());
