import { z } from 'zod';
import { isPlainJson, isPlainObject } from './plain-json.ts';

/**
 * An object of any JSON, carried as it came, whatever its keys are called: zod's own records and loose objects leave `__proto__` out.
 * Dates in it become the text that JSON has for them.
 */
export const JsonObject = z
  .custom<Record<string, unknown>>(isPlainObject, 'must be a JSON object')
  .overwrite((value) => (isPlainJson(value) ? value : JSON.parse(JSON.stringify(value))))
  .meta({ type: 'object', additionalProperties: { $ref: '#/components/schemas/JsonValue' } });
