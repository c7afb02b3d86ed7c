// An MCP server over stdio whose tools have schemas that are none, or that take for ever.
import { Server } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';

const object = (properties = {}, more = {}) => ({ type: 'object', properties, ...more });
/** Twice as much to try with each level. */
function doubling(levels) {
  const $defs = { [`d${levels}`]: { type: 'number' } };
  for (let level = 0; level < levels; level++) {
    const next = { $ref: `#/$defs/d${level + 1}` };
    $defs[`d${level}`] = { anyOf: [next, next] };
  }
  return object({ x: { $ref: '#/$defs/d0' } }, { $defs });
}

const annotations = { readOnlyHint: true };
const tools = [
  { name: 'fine', inputSchema: object({ a: { type: 'string' } }) },
  { name: 'wrong', inputSchema: object({ a: { type: 'strng' } }) },
  { name: 'nowhere', inputSchema: object({ a: { $ref: '#/$defs/none' } }) },
  { name: 'large', inputSchema: object({ a: { description: 'x'.repeat(70_000) } }) },
  { name: 'slow', inputSchema: object({ a: { type: 'string', pattern: '^(a+)+$' } }) },
  { name: 'dotted.name', inputSchema: object() },
  { name: `path/${'long'.repeat(15)}`, inputSchema: object() },
  { name: 'answers', inputSchema: object(), outputSchema: doubling(40) },
  { name: 'misdescribed', inputSchema: object(), outputSchema: object({ x: { type: 'strng' } }) },
  ...Array.from({ length: 150 }, (_, index) => ({ name: `more${index}`, inputSchema: object() })),
].map((tool) => ({ ...tool, annotations }));

const server = new Server({ name: 'odd', version: '1.0.0' }, { capabilities: { tools: {} } });
server.setRequestHandler('tools/list', () => ({ tools }));
server.setRequestHandler('tools/call', ({ params }) => ({
  content: [{ type: 'text', text: `${params.name} answered` }],
  structuredContent: { x: 'no number' },
}));
await server.connect(new StdioServerTransport());
