import type { IncomingHttpHeaders } from 'node:http';
import { CodelabError, type CodelabErrorOptions, type ErrorCode } from '@codelab/protocol';

/** How a person is told about a provider. */
export interface ProviderNames {
  /** `OpenAI`. */
  name: string;
  /** The setting with its key. */
  keyVariable: string;
  /** The setting with its address. */
  urlVariable: string;
}

/** The error object of OpenAI's or Anthropic's wire, as far as it can be trusted to be there. */
export interface ProviderFault {
  message: string;
  type: string | undefined;
  code: string | undefined;
  param: string | undefined;
}

const MAX_MESSAGE = 500;

/** A connection that failed before there was an answer. */
export function toConnectionError(error: unknown, { name, urlVariable }: ProviderNames): CodelabError {
  if (error instanceof CodelabError) return error;
  const { code } = (error ?? {}) as { code?: unknown };
  const why =
    code === 'UND_ERR_CONNECT_TIMEOUT'
      ? 'took too long to accept the connection'
      : typeof code === 'string' && /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/.test(code)
        ? `cannot be reached (${code})`
        : `cannot be reached: ${messageOf(error)}`;
  return new CodelabError('PROVIDER_UNAVAILABLE', `${name} ${why}. Check the network and ${urlVariable}.`, {
    cause: error,
  });
}

/** A connection that broke in the middle of an answer. */
export function toBrokenError(error: unknown, { name }: ProviderNames, hasBegun: boolean): CodelabError {
  if (error instanceof CodelabError) return error;
  return new CodelabError(
    hasBegun ? 'PROVIDER_STREAM_LOST' : 'PROVIDER_UNAVAILABLE',
    `${name}'s ${hasBegun ? 'stream' : 'answer'} broke: ${messageOf(error)}`,
    { cause: error },
  );
}

/** An answer that makes no sense. */
export function toUnreadableError(why: string, { name }: ProviderNames, hasBegun: boolean): CodelabError {
  return new CodelabError(
    hasBegun ? 'PROVIDER_STREAM_LOST' : 'PROVIDER_UNAVAILABLE',
    `${name}'s answer could not be read: ${why}`,
  );
}

/** What an error body says of itself; the body's beginning where it says nothing that can be understood. */
function readFault(body: string): ProviderFault {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return { message: plainText(body), type: undefined, code: undefined, param: undefined };
  }
  return toFault(parsed) ?? { message: plainText(body), type: undefined, code: undefined, param: undefined };
}

/** The fault in a JSON answer: `{error: {message, type, code, param}}`, `{error: "…"}`, `{message}`, `{detail}`. */
export function toFault(answer: unknown): ProviderFault | undefined {
  const outer = (Array.isArray(answer) ? answer[0] : answer) as Record<string, unknown> | null;
  if (typeof outer !== 'object' || outer === null) return undefined;
  const inner = outer.error ?? outer;
  if (typeof inner === 'string') return { message: inner, type: undefined, code: undefined, param: undefined };
  const { message, detail, type, code, param } = inner as Record<string, unknown>;
  const text = message ?? detail;
  if (text === undefined) return undefined;
  return {
    message: (typeof text === 'string' ? text : JSON.stringify(text)).slice(0, MAX_MESSAGE),
    type: typeof type === 'string' ? type : undefined,
    code: typeof code === 'string' ? code : undefined,
    param: typeof param === 'string' ? param : undefined,
  };
}

/** An answer whose status is no success. */
export function toStatusError(
  status: number,
  headers: IncomingHttpHeaders,
  body: string,
  names: ProviderNames,
): CodelabError {
  const { name, keyVariable, urlVariable } = names;
  if (status >= 300 && status < 400) {
    const where = typeof headers.location === 'string' ? ` to ${headers.location.slice(0, 200)}` : '';
    return new CodelabError(
      'PROVIDER_UNAVAILABLE',
      `${name} answered with a redirect (${status})${where}: set ${urlVariable} to where it really is.`,
    );
  }
  const fault = readFault(body);
  const said = `${name} answered ${status}: ${fault.message}`;
  const code = codeOf(status, fault);
  return new CodelabError(code, code === 'PROVIDER_AUTH' ? `${said} Check ${keyVariable}.` : said, {
    ...faultDetails(fault, status),
    retryAfterMs: retryAfterOf(headers),
  });
}

/** A failure that the provider reports within a stream that had begun as a success. */
export function toStreamFault(fault: ProviderFault, { name }: ProviderNames, hasBegun: boolean): CodelabError {
  const said = `${name} failed in the middle of the answer: ${fault.message}`;
  if (hasBegun) return new CodelabError('PROVIDER_STREAM_LOST', said, faultDetails(fault));
  return new CodelabError(codeOf(STATUS_BY_TYPE[fault.type ?? ''] ?? 500, fault), said, faultDetails(fault));
}

/** What the client of the same wire may be told of the fault: `toOpenAiError` and `toAnthropicError` read it. */
function faultDetails({ type, code, param }: ProviderFault, status?: number): CodelabErrorOptions {
  return { details: { type, code, param, status } };
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

function codeOf(status: number, { code, message }: ProviderFault): ErrorCode {
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

/** A page of HTML comes down to its words. */
function plainText(body: string): string {
  const text = body
    .slice(0, 10_000)
    .replace(/<(script|style)[\s\S]*?<\/\1>|<[^>]*>/gi, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return text === '' ? 'it said nothing more.' : text.slice(0, MAX_MESSAGE);
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.slice(0, MAX_MESSAGE);
}
