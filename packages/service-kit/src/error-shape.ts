import { CodelabError, type ErrorCode, errorCatalogue, toWireError, type WireError } from '@codelab/protocol';
import { TRPCError } from '@trpc/server';
import { ZodError } from 'zod';

const BY_TRPC_CODE: Partial<Record<TRPCError['code'], ErrorCode>> = {
  PARSE_ERROR: 'VALIDATION',
  BAD_REQUEST: 'VALIDATION',
  UNPROCESSABLE_CONTENT: 'VALIDATION',
  UNSUPPORTED_MEDIA_TYPE: 'VALIDATION',
  METHOD_NOT_SUPPORTED: 'VALIDATION',
  UNAUTHORIZED: 'UNAUTHORIZED',
  FORBIDDEN: 'FORBIDDEN',
  NOT_FOUND: 'NOT_FOUND',
  PAYLOAD_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  TOO_MANY_REQUESTS: 'RATE_LIMITED',
};

/** Returns the error of a request that does not fit its schema, with each place and reason. */
export function toValidationError(error: ZodError): CodelabError {
  const details = error.issues.flatMap(toDetails).slice(0, 20);
  const message = details
    .map(({ path, message }) => (path === '' || message.includes(path) ? message : `${path}: ${message}`))
    .join('; ');
  return new CodelabError('VALIDATION', message, { details, cause: error });
}

function toDetails(issue: ZodError['issues'][number]): Array<{ path: string; message: string }> {
  if (issue.code !== 'unrecognized_keys') return [{ path: issue.path.join('.'), message: issue.message }];
  return issue.keys.map((key) => ({
    path: [...issue.path, key].join('.').slice(0, 200),
    message: `unknown field "${key.slice(0, 100)}"`,
  }));
}

/** Returns anything thrown as an error of the catalogue. The unexpected is `INTERNAL`, and says nothing of itself. */
export function toCodelabError(thrown: unknown): CodelabError {
  if (thrown instanceof CodelabError) return thrown;
  if (thrown instanceof ZodError) return toValidationError(thrown);
  if (thrown instanceof TRPCError) {
    if (thrown.cause instanceof CodelabError) return thrown.cause;
    if (thrown.cause instanceof ZodError) return toValidationError(thrown.cause);
    const code = BY_TRPC_CODE[thrown.code];
    if (code !== undefined) return new CodelabError(code, thrown.message, { cause: thrown });
  }
  return new CodelabError('INTERNAL', undefined, { cause: thrown });
}

/** Returns the body of a failed HTTP request. */
export function toErrorBody(error: CodelabError, requestId: string): { error: WireError } {
  return { error: toWireError(error, requestId) };
}

export function statusOf(error: CodelabError): number {
  return errorCatalogue[error.code].status;
}

/** Returns tRPC's error shape: our fields in `data`, and a `code` that clients don't take as a reason to reconnect. */
export function toTrpcShape(error: CodelabError, requestId: string) {
  return {
    message: error.message,
    code: errorCatalogue[error.code].rpc,
    data: { ...toWireError(error, requestId), httpStatus: statusOf(error) },
  };
}
