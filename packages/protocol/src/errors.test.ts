import { expect, it } from 'vitest';
import { CodelabError, errorCatalogue, fromWireError, toWireError } from './errors.ts';

it('the catalogue is what clients know: a change here is a change of the protocol', () => {
  const locked = Object.entries(errorCatalogue).map(
    ([code, { status, retryable }]) => `${code} ${status}${retryable ? ' retryable' : ''}`,
  );
  expect(locked).toEqual([
    'UNAUTHORIZED 401',
    'FORBIDDEN 403',
    'NOT_FOUND 404',
    'VALIDATION 400',
    'PAYLOAD_TOO_LARGE 413',
    'PROTOCOL_VERSION_UNSUPPORTED 400',
    'SESSION_BUSY 409 retryable',
    'RUN_NOT_ACTIVE 409',
    'INPUT_ALREADY_DELIVERED 409',
    'APPROVAL_ALREADY_RESOLVED 409',
    'ANSWER_REPLACED 409',
    'TOOL_CALL_FINISHED 409',
    'IDEMPOTENCY_MISMATCH 409',
    'OVERLOADED 503 retryable',
    'RATE_LIMITED 429 retryable',
    'BUDGET_EXCEEDED 429',
    'TOOL_TIMEOUT 504',
    'MODEL_NOT_FOUND 404',
    'CONTEXT_WINDOW_EXCEEDED 400',
    'CONTENT_FILTERED 400',
    'PROVIDER_AUTH 502',
    'PROVIDER_RATE_LIMIT 429 retryable',
    'PROVIDER_UNAVAILABLE 502 retryable',
    'PROVIDER_STREAM_LOST 502 retryable',
    'INTERNAL 500',
  ]);
});

it('only INTERNAL has the JSON-RPC code that clients reconnect for', () => {
  const reconnecting = Object.entries(errorCatalogue).filter(([, { rpc }]) => rpc === -32603);
  expect(reconnecting.map(([code]) => code)).toEqual(['INTERNAL']);
});

it('an error survives the wire', () => {
  const error = new CodelabError('RATE_LIMITED', 'Slow down.', { retryAfterMs: 500, details: { left: 0 } });
  const back = fromWireError(JSON.parse(JSON.stringify(toWireError(error, 'req_1'))));
  expect(back).toBeInstanceOf(CodelabError);
  expect(back).toMatchObject({
    code: 'RATE_LIMITED',
    message: 'Slow down.',
    retryable: true,
    requestId: 'req_1',
    retryAfterMs: 500,
    details: { left: 0 },
  });
});

it.each([undefined, null, 7, 'NOT_FOUND', {}, { code: 'toString' }, { code: 'NO_SUCH_CODE' }])(
  '%j is not one of ours',
  (value) => {
    expect(fromWireError(value)).toBeUndefined();
  },
);
