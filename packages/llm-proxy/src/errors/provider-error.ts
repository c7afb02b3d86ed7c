import type { IncomingHttpHeaders } from 'node:http';
import { CodelabError, type CodelabErrorOptions, type ErrorCode } from '@codelab/protocol';
import { type ProviderFault, readFault, type ShownError, toShown } from './provider-fault.ts';

/** How a person is told about a provider. */
export interface ProviderNames {
  /** `OpenAI`. */
  name: string;
  /** The setting with its key. */
  keyVariable: string;
  /** The setting with its address. */
  urlVariable: string;
  /** Takes the provider's key, and whatever else is secret of it, out of a text. */
  redact: (text: string) => string;
  /** Takes them out of whole events, or a whole answer, that are passed on; the same bytes where there are none. */
  censor: (bytes: Buffer) => Buffer;
}

/** A provider's failure: `message` is for whoever asked, and may quote the provider; `reason` has our own words alone, for the log. */
export class ProviderError extends CodelabError {
  readonly reason: string;
  /** `advice`: what to do about it. */
  constructor(
    code: ErrorCode,
    reason: string,
    { said, advice, ...options }: CodelabErrorOptions & { said?: string | undefined; advice?: string } = {},
  ) {
    const what = said === undefined ? `${reason}.` : `${reason}: ${said}`;
    super(code, advice === undefined ? what : `${what} ${advice}`, options);
    this.reason = reason;
  }
}

/** What a log may say of a failure: neither the provider's words nor a person's. */
export function loggedOf(error: CodelabError): { code: ErrorCode; reason?: string; status?: number } {
  const { status } = (error.details ?? {}) as { status?: unknown };
  return {
    code: error.code,
    ...(error instanceof ProviderError ? { reason: error.reason } : {}),
    ...(typeof status === 'number' ? { status } : {}),
  };
}

/** A connection that failed before there was an answer. */
export function toConnectionError(error: unknown, { name, urlVariable }: ProviderNames): CodelabError {
  if (error instanceof CodelabError) return error;
  const isLate = (error as { code?: unknown } | null)?.code === 'UND_ERR_CONNECT_TIMEOUT';
  const why = isLate ? 'took too long to accept the connection' : `cannot be reached${kindOf(error)}`;
  return new ProviderError('PROVIDER_UNAVAILABLE', `${name} ${why}`, {
    advice: `Check the network and ${urlVariable}.`,
    cause: error,
  });
}

/** A connection that broke in the middle of an answer. */
export function toBrokenError(error: unknown, { name }: ProviderNames, hasBegun: boolean): CodelabError {
  if (error instanceof CodelabError) return error;
  return new ProviderError(
    hasBegun ? 'PROVIDER_STREAM_LOST' : 'PROVIDER_UNAVAILABLE',
    `${name}'s ${hasBegun ? 'stream' : 'answer'} broke${kindOf(error)}`,
    { cause: error },
  );
}

/** A stream that was over before its answer was. */
export function toCutError({ name }: ProviderNames): CodelabError {
  return new ProviderError('PROVIDER_STREAM_LOST', `${name} ended the stream before the answer was complete`);
}

/** A whole answer that has not said why it ended: there may be more of it that did not come. */
export function toUnfinishedError({ name }: ProviderNames): CodelabError {
  return new ProviderError('PROVIDER_STREAM_LOST', `${name}'s answer does not say why it ended`);
}

/** An answer that makes no sense; `why` in our words. */
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

/** An answer whose status is no success. */
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
  // What is said of our key may have our key in it.
  if (code === 'PROVIDER_AUTH')
    return new ProviderError(code, `${name} answered ${status}: it refuses our key`, {
      ...options,
      details: { status },
      advice: `Check ${keyVariable}.`,
    });
  const { said, ...details } = toShown(fault, names.redact);
  return new ProviderError(code, `${name} answered ${status}`, { ...options, said, details: { ...details, status } });
}

/** The server that a redirect leads to: its path and query may be anybody's. */
function whereTo(location: string | undefined, { redact }: ProviderNames): string {
  if (location === undefined || !URL.canParse(location)) return '';
  return `, perhaps at ${redact(new URL(location).origin)}`;
}

/** A failure that the provider reports within a stream that had begun as a success. */
export function toStreamFault(fault: ProviderFault, { name, redact }: ProviderNames, hasBegun: boolean): CodelabError {
  const code = codeOf(STATUS_BY_TYPE[fault.type ?? ''] ?? 500, fault);
  const isOfKey = code === 'PROVIDER_AUTH';
  const { said, ...details }: Partial<ShownError> = isOfKey ? {} : toShown(fault, redact);
  return new ProviderError(
    hasBegun ? 'PROVIDER_STREAM_LOST' : code,
    `${name} failed in the middle of the answer${isOfKey ? ': it refuses our key' : ''}`,
    { said, details },
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
 * How long the provider asks to be left alone, in milliseconds: `retry-after-ms`, or `Retry-After` in seconds or as a date.
 * https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 */
function retryAfterOf(headers: IncomingHttpHeaders): number | undefined {
  const exact = headers['retry-after-ms'];
  if (typeof exact === 'string' && /^\d+(\.\d+)?$/.test(exact)) return Math.round(Number(exact));
  const value = headers['retry-after'];
  if (typeof value !== 'string' || value === '') return undefined;
  const milliseconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, Math.round(milliseconds)) : undefined;
}

/** What kind of failure the system, TLS or the HTTP parser reports: their messages may quote what the provider sent. */
function kindOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const kind = typeof code === 'string' ? code : name;
  return typeof kind === 'string' && /^\w{1,60}$/.test(kind) ? ` (${kind})` : '';
}
