import type { IncomingHttpHeaders } from 'node:http';

/** Error object of OpenAI's or Anthropic's wire; any field may be missing. */
export interface ProviderFault {
  message?: string | undefined;
  type?: string | undefined;
  code?: string | undefined;
  param?: string | undefined;
}

/** Fields of a provider's fault that the client may see, without secrets. */
export interface ShownError {
  message: string | undefined;
  type: string | undefined;
  code: string | undefined;
  param: string | undefined;
}

const MAX_MESSAGE = 500;
/** Longest plain text that is read as a message. */
const MAX_PLAIN = 10_000;

/** Returns the fault in a JSON answer: `{error: {message, type, code, param}}`, `{error: "…"}`, `{message}`, `{detail}`. */
export function toFault(answer: unknown): ProviderFault | undefined {
  const outer = (Array.isArray(answer) ? answer[0] : answer) as Record<string, unknown> | null;
  if (typeof outer !== 'object' || outer === null) return undefined;
  const inner = outer.error || outer;
  if (typeof inner === 'string') return { message: inner };
  if (typeof inner !== 'object') return undefined;
  const { message, detail, type, code, param } = inner as Record<string, unknown>;
  const text = message ?? detail;
  if (text === undefined) return undefined;
  return {
    message: typeof text === 'string' ? text : toJson(text),
    type: asText(type),
    code: asText(code),
    param: asText(param),
  };
}

/** Returns the fault in an error's body. A page, or a body that is no text, has none. */
export function readFault(body: Buffer, headers: IncomingHttpHeaders): ProviderFault {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') return {};
  const text = body.toString('utf8');
  try {
    return toFault(JSON.parse(text)) ?? {};
  } catch {
    const isPage = /html/i.test(headers['content-type'] ?? '') || /<\/?\w[^>]*>/.test(text.slice(0, MAX_PLAIN));
    return isPage ? {} : { message: text.slice(0, MAX_PLAIN) };
  }
}

/** Returns the fields that the client may see. Redacts before it cuts, so that no part of a secret is left. */
export function toShownError(
  { message, type, code, param }: ProviderFault,
  redact: (text: string) => string,
): ShownError {
  return {
    message: message === undefined ? undefined : readable(redact(message)),
    type: identifier(type, redact),
    code: identifier(code, redact),
    param: identifier(param, redact),
  };
}

/** Returns the message on one line; undefined if it is no text. */
function readable(message: string): string | undefined {
  const text = message.replace(/\s+/g, ' ').trim();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: binary is told by them
  if (text === '' || /[\u0000-\u001f\u007f\ufffd]/.test(text)) return undefined;
  return text.slice(0, MAX_MESSAGE);
}

/** Returns the name of an error or a field (`invalid_request_error`, `messages[0].content`); undefined if it is none, or has a secret. */
function identifier(name: string | undefined, redact: (text: string) => string): string | undefined {
  return name !== undefined && /^[\w.[\]$:/-]{1,100}$/.test(name) && redact(name) === name ? name : undefined;
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // Nested too deep.
    return undefined;
  }
}
