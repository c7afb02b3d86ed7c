import { contract, proceduresOf, Traced } from '@codelab/protocol';
import { toValidationError } from '@codelab/service-kit';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { strictContract } from './strict-contract.ts';

const strict = strictContract(contract, Traced.shape);
/** Returns the fields that are refused as unknown. */
const unknownIn = (schema: z.ZodType, value: unknown): string[] => {
  const parsed = schema.safeParse(value);
  const details = parsed.success ? [] : (toValidationError(parsed.error).details as Array<Record<string, string>>);
  return details.flatMap(({ path = '', message }) => (message?.startsWith('unknown field') ? path : []));
};

it.each(proceduresOf(strict))('$name refuses a field that it does not have', ({ procedure: { input } }) => {
  expect(unknownIn(input as z.ZodType, { nonsense: 1, requestId: 'req_1' })).toEqual(['nonsense']);
});

describe('within an input', () => {
  const sent = { sessionId: 's1', inputId: 'in1', content: 'x' };
  const file = { name: 'a.txt', mimeType: 'text/plain', text: 'x' };
  const tool = { name: 't', inputSchema: { type: 'object', properties: { anything: {} } } };

  it.each<[string, z.ZodType, object, string[]]>([
    [
      'an attachment',
      strict.input.send.input,
      { ...sent, attachments: [file, { ...file, size: 1 }] },
      ['attachments.1.size'],
    ],
    [
      'a tool',
      strict.tool.announce.input,
      { sessionId: 's1', clientId: 'c', tools: [{ ...tool, annotations: {} }] },
      ['tools.0.annotations'],
    ],
    ['free JSON', strict.tool.announce.input, { sessionId: 's1', clientId: 'c', tools: [tool] }, []],
    ['labels', strict.session.create.input, { metadata: { anything: 'x' } }, []],
  ])('%s', (_name, schema, value, expected) => {
    expect(unknownIn(schema, value)).toEqual(expected);
  });

  it('keeps the checks of the whole', () => {
    const { input } = strict.tool.result;
    expect(input.safeParse({ sessionId: 's1', callId: 'c1', result: 1, error: 'x' }).success).toBe(false);
    expect(strict.input.send.input.safeParse({ ...sent, attachments: [{ ...file, data: 'eA==' }] }).success).toBe(
      false,
    );
  });
});

it('leaves the contract as it is', () => {
  expect(contract.session.get.input.safeParse({ sessionId: 's1', nonsense: 1 }).success).toBe(true);
});
