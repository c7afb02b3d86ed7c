import { CodelabError } from '@codelab/protocol';

/** How a person is told about a provider. */
export interface ProviderNames {
  /** `OpenAI`. */
  name: string;
  /** The setting with its key. */
  keyVariable: string;
  /** The setting with its address. */
  urlVariable: string;
}

/** What the official packages throw for an answer that is not 2xx. */
interface StatusError extends Error {
  status: number;
  code?: unknown;
  headers?: { get(name: string): string | null };
}

function isStatusError(error: unknown): error is StatusError {
  return error instanceof Error && typeof (error as Partial<StatusError>).status === 'number';
}

/**
 * What a provider's package threw, as an error of the catalogue. `started`: whether a part of the answer had come already, after
 * which nothing but the loss of the stream can be said.
 */
export function toProviderError(error: unknown, names: ProviderNames, started: boolean): CodelabError {
  if (error instanceof CodelabError) return error;
  const { name, urlVariable } = names;
  if (started)
    return new CodelabError('PROVIDER_STREAM_LOST', `${name}'s stream broke: ${messageOf(error)}`, { cause: error });
  if (isStatusError(error)) return toStatusError(error, names);
  if (error instanceof Error && /^APIConnection/.test(error.constructor.name)) {
    const message = `${name} cannot be reached. Check the network and ${urlVariable}.`;
    return new CodelabError('PROVIDER_UNAVAILABLE', message, { cause: error });
  }
  const message = `${name}'s answer could not be read: ${messageOf(error)}`;
  return new CodelabError('PROVIDER_UNAVAILABLE', message, { cause: error });
}

function toStatusError(error: StatusError, { name, keyVariable }: ProviderNames): CodelabError {
  const { status, code } = error;
  const said = `${name} answered ${status}: ${messageOf(error)}`;
  const options = { cause: error, retryAfterMs: retryAfterOf(error) };
  if (code === 'context_length_exceeded' || /prompt is too long|maximum context length/i.test(error.message))
    return new CodelabError('CONTEXT_WINDOW_EXCEEDED', said, options);
  if (code === 'content_filter' || code === 'content_policy_violation')
    return new CodelabError('CONTENT_FILTERED', said, options);
  switch (status) {
    case 400:
    case 422:
      return new CodelabError('VALIDATION', said, options);
    case 401:
    case 403:
      return new CodelabError('PROVIDER_AUTH', `${said} Check ${keyVariable}.`, options);
    case 404:
      return new CodelabError('MODEL_NOT_FOUND', said, options);
    case 413:
      return new CodelabError('PAYLOAD_TOO_LARGE', said, options);
    case 429:
      return new CodelabError('PROVIDER_RATE_LIMIT', said, options);
    default:
      return new CodelabError('PROVIDER_UNAVAILABLE', said, options);
  }
}

/** `Retry-After` in milliseconds: seconds, or a date. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
function retryAfterOf(error: StatusError): number | undefined {
  const value = error.headers?.get('retry-after');
  if (value === null || value === undefined || value === '') return undefined;
  const milliseconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, Math.round(milliseconds)) : undefined;
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.slice(0, 500);
}
