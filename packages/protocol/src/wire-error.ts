import { z } from 'zod';
import { JsonValue } from './json-value.ts';

export const WireError = z
  .object({
    code: z.string(),
    message: z.string(),
    retryable: z.boolean(),
    requestId: z.string(),
    retryAfterMs: z.number().optional().describe('Milliseconds.'),
    details: JsonValue.optional(),
  })
  .describe('An error as it crosses a wire; its `code` is one of the catalogue.');
export type WireError = z.infer<typeof WireError>;
