import type { IncomingHttpHeaders } from 'node:http';

/** The error object of OpenAI's or Anthropic's wire, as far as it can be trusted to be there. */
export interface ProviderFault {
  message?: string | undefined;
  type?: string | undefined;
  code?: string | undefined;
  param?: string | undefined;
}

/** As much of a fault as whoever asked may be shown: `toOpenAiError` and `toAnthropicError` read it. */
export interface ShownError {
  said: string | undefined;
  type: string | undefined;
  code: string | undefined;
  param: string | undefined;
}

const MAX_MESSAGE = 500;
/** What is longer may not be looked through as text. */
const MAX_PLAIN = 10_000;

/** The fault in a JSON answer: `{error: {message, type, code, param}}`, `{error: "…"}`, `{message}`, `{detail}`. */
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

/** What an error's body says of itself. A page, and what is no text, says nothing. */
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

/** `redact` first, so that no cut leaves a part of a secret. */
export function toShown({ message, type, code, param }: ProviderFault, redact: (text: string) => string): ShownError {
  return {
    said: message === undefined ? undefined : readable(redact(message)),
    type: identifier(type, redact),
    code: identifier(code, redact),
    param: identifier(param, redact),
  };
}

/** One line of text; nothing for what is none. */
function readable(message: string): string | undefined {
  const text = message.replace(/\s+/g, ' ').trim();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: binary is told by them
  if (text === '' || /[\u0000-\u001f\u007f\ufffd]/.test(text)) return undefined;
  return text.slice(0, MAX_MESSAGE);
}

/** The name of an error, or of a field: `invalid_request_error`, `messages[0].content`. */
function identifier(said: string | undefined, redact: (text: string) => string): string | undefined {
  return said !== undefined && /^[\w.[\]$:/-]{1,100}$/.test(said) && redact(said) === said ? said : undefined;
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
