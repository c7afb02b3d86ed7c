import type { IncomingHttpHeaders } from 'node:http';
import { CodelabError, type CodelabErrorOptions, type ErrorCode } from '@codelab/protocol';
import { type ProviderFault, readFault, type ShownError, toShownError } from './provider-fault.ts';

/** Names of a provider in messages, and the removal of its secrets. */
export interface ProviderNames {
  /** `OpenAI`. */
  name: string;
  /** Setting with its key. */
  keyVariable: string;
  /** Setting with its address. */
  urlVariable: string;
  /** Removes the provider's key and other secrets from a text. */
  redact: (text: string) => string;
  /** Removes them from whole events, or a whole answer, that are passed through. Returns the same bytes if there are none. */
  censor: (bytes: Buffer) => Buffer;
}

/** A provider's failure. `message` is for the client, and may quote the provider; `reason` is for the log, and does not. */
export class ProviderError extends CodelabError {
  readonly reason: string;
  /** `quote`: the provider's own message. `advice`: tells the client how to mend it. */
  constructor(
    code: ErrorCode,
    reason: string,
    { quote, advice, ...options }: CodelabErrorOptions & { quote?: string | undefined; advice?: string } = {},
  ) {
    const what = quote === undefined ? `${reason}.` : `${reason}: ${quote}`;
    super(code, advice === undefined ? what : `${what} ${advice}`, options);
    this.reason = reason;
  }
}

/** Details of a `ProviderError`: fields of the provider's error body, and its HTTP status. */
export interface ProviderErrorDetails {
  type?: string;
  code?: string;
  param?: string;
  status?: number;
}

/** Returns the details that a provider's failure has; none for details of another shape. */
export function detailsOf({ details }: CodelabError): ProviderErrorDetails {
  return Array.isArray(details) || typeof details !== 'object' || details === null ? {} : details;
}

/** Returns the fields of an error that may be logged: neither the provider's words nor a person's. */
export function loggedOf(error: CodelabError): { code: ErrorCode; reason?: string; status?: number } {
  const { status } = detailsOf(error);
  return {
    code: error.code,
    ...(error instanceof ProviderError ? { reason: error.reason } : {}),
    ...(typeof status === 'number' ? { status } : {}),
  };
}

/** Converts a failure of the connection before there was an answer. */
export function toConnectionError(error: unknown, { name, urlVariable }: ProviderNames): CodelabError {
  if (error instanceof CodelabError) return error;
  const isLate = (error as { code?: unknown } | null)?.code === 'UND_ERR_CONNECT_TIMEOUT';
  const why = isLate ? 'took too long to accept the connection' : `cannot be reached${kindOf(error)}`;
  return new ProviderError('PROVIDER_UNAVAILABLE', `${name} ${why}`, {
    advice: `Check the network and ${urlVariable}.`,
    cause: error,
  });
}

/** Converts a failure of the connection in the middle of an answer. */
export function toBrokenError(error: unknown, { name }: ProviderNames, hasBegun: boolean): CodelabError {
  if (error instanceof CodelabError) return error;
  return new ProviderError(
    hasBegun ? 'PROVIDER_STREAM_LOST' : 'PROVIDER_UNAVAILABLE',
    `${name}'s ${hasBegun ? 'stream' : 'answer'} broke${kindOf(error)}`,
    { cause: error },
  );
}

/** Creates the error for a stream that ended before its answer. */
export function toCutError({ name }: ProviderNames): CodelabError {
  return new ProviderError('PROVIDER_STREAM_LOST', `${name} ended the stream before the answer was complete`);
}

/** Creates the error for a whole answer without a finish reason: a part of it may be missing. */
export function toUnfinishedError({ name }: ProviderNames): CodelabError {
  return new ProviderError('PROVIDER_STREAM_LOST', `${name}'s answer does not say why it ended`);
}

/** Creates the error for an answer that cannot be understood. `why` is in our own words, for the log. */
export function toUnreadableError(
  why: string,
  { name }: ProviderNames,
  hasBegun: boolean,
  options: CodelabErrorOptions = {},
): CodelabError {
  return new ProviderError(
    hasBegun ? 'PROVIDER_STREAM_LOST' : 'PROVIDER_UNAVAILABLE',
    `${name}'s answer could not be read: ${why}`,
    options,
  );
}

/** Converts an answer whose HTTP status is no success. */
export function toStatusError(
  status: number,
  headers: IncomingHttpHeaders,
  body: Buffer,
  names: ProviderNames,
): CodelabError {
  const { name, keyVariable, urlVariable } = names;
  if (status >= 300 && status < 400)
    return new ProviderError('PROVIDER_UNAVAILABLE', `${name} answered with a redirect (${status})`, {
      advice: `It is not followed: set ${urlVariable} to where it really is${whereTo(headers.location, names)}.`,
      details: { status },
    });
  const fault = readFault(body, headers);
  const code = codeOf(status, fault);
  const options = { retryAfterMs: retryAfterOf(headers) };
  // The provider's message about our key may have our key in it.
  if (code === 'PROVIDER_AUTH')
    return new ProviderError(code, `${name} answered ${status}: it refuses our key`, {
      ...options,
      details: { status },
      advice: `Check ${keyVariable}.`,
    });
  const { message: quote, ...details } = toShownError(fault, names.redact);
  return new ProviderError(code, `${name} answered ${status}`, { ...options, quote, details: { ...details, status } });
}

/** Returns the origin of a redirect's target: its path and query may have secrets. */
function whereTo(location: string | undefined, { redact }: ProviderNames): string {
  if (location === undefined || !URL.canParse(location)) return '';
  return `, perhaps at ${redact(new URL(location).origin)}`;
}

/** Converts a failure that the provider reports within a 2xx answer. */
export function toStreamFault(fault: ProviderFault, { name, redact }: ProviderNames, hasBegun: boolean): CodelabError {
  const code = codeOf(STATUS_BY_TYPE[fault.type ?? ''] ?? 500, fault);
  const isOfKey = code === 'PROVIDER_AUTH';
  const { message: quote, ...details }: Partial<ShownError> = isOfKey ? {} : toShownError(fault, redact);
  return new ProviderError(
    hasBegun ? 'PROVIDER_STREAM_LOST' : code,
    `${name} failed in the middle of the answer${isOfKey ? ': it refuses our key' : ''}`,
    { quote, details },
  );
}

/** Source: https://docs.anthropic.com/en/api/errors */
const STATUS_BY_TYPE: Record<string, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
};

function codeOf(status: number, { code, message = '' }: ProviderFault): ErrorCode {
  if (code === 'invalid_api_key') return 'PROVIDER_AUTH';
  if (code === 'context_length_exceeded' || /prompt is too long|maximum context length/i.test(message))
    return 'CONTEXT_WINDOW_EXCEEDED';
  if (code === 'content_filter' || code === 'content_policy_violation') return 'CONTENT_FILTERED';
  switch (status) {
    case 400:
    case 422:
      return 'VALIDATION';
    case 401:
    case 403:
      return 'PROVIDER_AUTH';
    case 404:
      return 'MODEL_NOT_FOUND';
    case 413:
      return 'PAYLOAD_TOO_LARGE';
    case 429:
      return 'PROVIDER_RATE_LIMIT';
    default:
      return 'PROVIDER_UNAVAILABLE';
  }
}

/**
 * Returns the delay that the provider asks for, in milliseconds: `retry-after-ms`, or `Retry-After` in seconds or as a date.
 * Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 */
function retryAfterOf(headers: IncomingHttpHeaders): number | undefined {
  const exact = headers['retry-after-ms'];
  if (typeof exact === 'string' && /^\d+(\.\d+)?$/.test(exact)) return Math.round(Number(exact));
  const value = headers['retry-after'];
  if (typeof value !== 'string' || value === '') return undefined;
  const milliseconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, Math.round(milliseconds)) : undefined;
}

/** Returns the code of a failure of the system, TLS or the HTTP parser. Not its message, which may quote what the provider sent. */
function kindOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const kind = typeof code === 'string' ? code : name;
  return typeof kind === 'string' && /^\w{1,60}$/.test(kind) ? ` (${kind})` : '';
}
