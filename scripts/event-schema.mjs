// The JSON Schema of the events, for clients that are not written in TypeScript: packages/sdk/schema/session-event.schema.json.

/** @typedef {typeof import('../packages/protocol/src/index.ts')} Protocol */
/** @typedef {typeof import('../packages/service-kit/src/openapi/json-schemas.ts')} JsonSchemas */

/**
 * Returns the schema as JSON, not formatted. It is the one of `/openapi.json`, with `$defs` in place of components.
 * @param {Protocol} protocol
 * @param {JsonSchemas} jsonSchemas
 */
export function eventSchema({ schemas, eventSchemas }, { toJsonSchemas, reachable }) {
  const { components } = toJsonSchemas({ named: { ...schemas, ...eventSchemas }, inputs: {}, outputs: {} });
  const { SessionEvent, ...$defs } = reachable(components, { $ref: '#/components/schemas/SessionEvent' });
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'SessionEvent',
    ...SessionEvent,
    $comment:
      'Generated from packages/protocol/src/event.ts. Events as JSON has them: over REST and SSE, dates are text.',
    $defs: Object.fromEntries(Object.entries($defs).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  return JSON.stringify(schema, null, 2).replaceAll('#/components/schemas/', '#/$defs/');
}
