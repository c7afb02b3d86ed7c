import { type CodelabError, errorCatalogue } from '@codelab/protocol';
import { toClientVisibleError } from './client-visible-error.ts';

/** Converts an error to OpenAI's error body. Source: https://platform.openai.com/docs/guides/error-codes */
export function toOpenAiError(error: CodelabError) {
  const visible = toClientVisibleError(error);
  return {
    error: {
      message: error.message,
      type: visible?.type ?? typeOf(error),
      param: visible?.param ?? paramOf(error),
      code: visible?.code ?? toOpenAiCode(error),
    },
  };
}

function typeOf(error: CodelabError): string {
  const { status } = errorCatalogue[error.code];
  if (error.code === 'BUDGET_EXCEEDED') return 'insufficient_quota';
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

function toOpenAiCode(error: CodelabError): string | null {
  switch (error.code) {
    case 'UNAUTHORIZED':
      return 'invalid_api_key';
    case 'MODEL_NOT_FOUND':
      return 'model_not_found';
    case 'CONTEXT_WINDOW_EXCEEDED':
      return 'context_length_exceeded';
    case 'CONTENT_FILTERED':
      return 'content_filter';
    case 'RATE_LIMITED':
      return 'rate_limit_exceeded';
    case 'BUDGET_EXCEEDED':
      return 'insufficient_quota';
    case 'VALIDATION':
      return null;
    default:
      return error.code.toLowerCase();
  }
}

function paramOf(error: CodelabError): string | null {
  const [first] = Array.isArray(error.details) ? (error.details as Array<{ path?: unknown }>) : [];
  return typeof first?.path === 'string' && first.path !== '' ? first.path : null;
}
