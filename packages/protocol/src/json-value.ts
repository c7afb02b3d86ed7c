import { z } from 'zod';

const itself = { $ref: '#/components/schemas/JsonValue' };

/** Takes any JSON, as it came. As a JSON Schema it names itself, as a component of `/openapi.json`. */
export const JsonValue = z.unknown().meta({
  description: 'Any JSON.',
  anyOf: [
    { type: 'null' },
    { type: 'boolean' },
    { type: 'number' },
    { type: 'string' },
    { type: 'array', items: itself },
    { type: 'object', additionalProperties: itself },
  ],
});
