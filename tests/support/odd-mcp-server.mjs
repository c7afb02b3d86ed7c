// An MCP server over stdio whose tools have schemas that are none, or that take for ever.
import { createInterface } from 'node:readline';

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
  { name: 'typeless', inputSchema: { properties: {} } },
  { name: 'schemaless' },
  { inputSchema: object() },
  null,
  { name: 'dotted.name', inputSchema: object() },
  { name: `path/${'long'.repeat(15)}`, inputSchema: object() },
  { name: 'answers', inputSchema: object(), outputSchema: doubling(40) },
  { name: 'misdescribed', description: null, inputSchema: object(), outputSchema: { type: 'strng' } },
  ...Array.from({ length: 150 }, (_, index) => ({ name: `more${index}`, inputSchema: object() })),
].map((tool) => tool && { annotations, ...tool });

// The packages would not send some of these.
const answers = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'odd', version: '1.0.0' },
  }),
  ping: () => ({}),
  'tools/list': () => ({ tools }),
  'tools/call': ({ name }) => ({
    content: [{ type: 'text', text: `${name} answered` }],
    structuredContent: { x: 'no number' },
  }),
};
for await (const line of createInterface(process.stdin)) {
  const { id, method, params } = JSON.parse(line);
  const result = answers[method]?.(params);
  if (result !== undefined) process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`);
}
