import type { CodelabError } from '@codelab/protocol';
import { toClientVisibleError, wireStatusOf } from './client-visible-error.ts';

/** Converts an error to Anthropic's error body. Source: https://docs.anthropic.com/en/api/errors */
export function toAnthropicError(error: CodelabError, requestId: string) {
  return {
    type: 'error',
    error: { type: typeOf(error), message: error.message },
    request_id: error.requestId || requestId,
  };
}

function typeOf(error: CodelabError): string {
  const type = toClientVisibleError(error)?.type;
  if (type !== undefined && /_error$|^request_too_large$/.test(type)) return type;
  switch (wireStatusOf(error)) {
    case 400:
      return 'invalid_request_error';
    case 401:
      return 'authentication_error';
    case 403:
      return 'permission_error';
    case 404:
      return 'not_found_error';
    case 413:
      return 'request_too_large';
    case 429:
      return 'rate_limit_error';
    case 422:
      return 'invalid_request_error';
    case 503:
    case 529:
      return 'overloaded_error';
    default:
      return 'api_error';
  }
}
