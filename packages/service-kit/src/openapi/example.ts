import type { JsonSchema } from './json-schemas.ts';

/** Has texts for fields of these names, the same as in the examples of PROTOCOL.md. */
const SAMPLES: Record<string, string> = {
  sessionId: 'ses_1',
  session_id: 'ses_1',
  newSessionId: 'ses_2',
  inputId: 'in_1',
  runId: 'run_1',
  run_id: 'run_1',
  callId: 'call_1',
  itemId: 'item_1',
  ruleId: 'rule_1',
  resultId: 'call_1',
  clientId: 'client_1',
  requestId: 'req_1',
  eventId: 'mwz54dyn-1',
  message_id: 'msg_1',
  content: 'Explain the auth module',
  message: 'Explain the auth module',
  title: 'The auth module',
  agent: 'coder',
  from: 'coder',
  to: 'ask',
  reason: 'a question',
  model: 'default',
  project: '/work/shop',
  path: 'src/auth.ts',
  mimeType: 'text/plain',
  name: 'read_file',
  tool: 'read_file',
  resource: 'src/**',
  feedback: 'only in src',
  by: 'ada',
  result: 'done',
};
const DATE = '2026-01-01T00:00:00.000Z';
const MAX_DEPTH = 8;

/**
 * Returns a value that fits a schema: the fields that it needs, and those that have a sample. `others` has the schemas that it may refer to.
 */
export function exampleOf(schema: JsonSchema, others: Record<string, JsonSchema>, name = '', depth = 0): unknown {
  const { $ref, anyOf, oneOf } = schema;
  if (typeof $ref === 'string') {
    const referred = $ref.slice($ref.lastIndexOf('/') + 1);
    if (referred === 'JsonValue') return SAMPLES[name] ?? {};
    return exampleOf(others[referred] ?? {}, others, name, depth);
  }
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  const [first] = ((anyOf ?? oneOf) as JsonSchema[] | undefined) ?? [];
  if (first !== undefined) return exampleOf(first, others, name, depth);
  switch (schema.type) {
    case 'object':
      return objectOf(schema, others, depth);
    case 'array':
      return depth < MAX_DEPTH ? [exampleOf(schema.items as JsonSchema, others, name, depth + 1)] : [];
    case 'integer':
    case 'number':
      return Math.max(1, Number(schema.minimum ?? 1));
    case 'boolean':
      return false;
    case 'null':
      return null;
    default:
      return schema.format === 'date-time' ? DATE : (SAMPLES[name] ?? 'text');
  }
}

function objectOf({ properties = {}, required = [] }: JsonSchema, others: Record<string, JsonSchema>, depth: number) {
  const fields = Object.entries(properties).filter(
    ([name]) => required.includes(name) || (depth === 0 && Object.hasOwn(SAMPLES, name)),
  );
  return Object.fromEntries(fields.map(([name, field]) => [name, exampleOf(field, others, name, depth + 1)]));
}
