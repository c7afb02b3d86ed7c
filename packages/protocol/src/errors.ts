import type { WireError } from './wire-error.ts';

interface CatalogueEntry {
  /** HTTP status. */
  status: number;
  /** JSON-RPC code. Only `INTERNAL` may be -32603: tRPC's clients take that one as worth a reconnect. */
  rpc: number;
  /** True where the same call may succeed later. */
  retryable: boolean;
  /** The default message, for a person. */
  message: string;
}

/** Every error that crosses a wire. PROTOCOL.md §7; `errors.test.ts` locks it. */
export const errorCatalogue = {
  UNAUTHORIZED: {
    status: 401,
    rpc: -32001,
    retryable: false,
    message: 'The key is missing or wrong.',
  },
  FORBIDDEN: { status: 403, rpc: -32003, retryable: false, message: 'This caller may not do that.' },
  NOT_FOUND: { status: 404, rpc: -32004, retryable: false, message: 'There is no such thing.' },
  VALIDATION: { status: 400, rpc: -32600, retryable: false, message: 'The request is not valid.' },
  PAYLOAD_TOO_LARGE: { status: 413, rpc: -32013, retryable: false, message: 'The request is too large.' },
  PROTOCOL_VERSION_UNSUPPORTED: {
    status: 400,
    rpc: -32600,
    retryable: false,
    message: 'This version of the protocol is not served.',
  },
  SESSION_BUSY: {
    status: 409,
    rpc: -32009,
    retryable: true,
    message: 'The session is working on another message.',
  },
  RUN_NOT_ACTIVE: { status: 409, rpc: -32009, retryable: false, message: 'The run is over.' },
  INPUT_ALREADY_DELIVERED: {
    status: 409,
    rpc: -32009,
    retryable: false,
    message: 'The message has already been delivered to the agent.',
  },
  APPROVAL_ALREADY_RESOLVED: {
    status: 409,
    rpc: -32009,
    retryable: false,
    message: 'Somebody has already decided on this.',
  },
  ANSWER_REPLACED: {
    status: 409,
    rpc: -32009,
    retryable: false,
    message:
      'The agent had to say this answer again, and it now begins otherwise than what was shown. The history of the session has it.',
  },
  TOOL_CALL_FINISHED: {
    status: 409,
    rpc: -32009,
    retryable: false,
    message: 'The tool call has its result already.',
  },
  IDEMPOTENCY_MISMATCH: {
    status: 409,
    rpc: -32009,
    retryable: false,
    message: 'This id was used before, with another payload.',
  },
  OVERLOADED: {
    status: 503,
    rpc: -32050,
    retryable: true,
    message: 'The service cannot take this now. Try again shortly.',
  },
  RATE_LIMITED: { status: 429, rpc: -32029, retryable: true, message: 'Too many requests.' },
  BUDGET_EXCEEDED: { status: 429, rpc: -32029, retryable: false, message: 'The budget is spent.' },
  TOOL_TIMEOUT: { status: 504, rpc: -32008, retryable: false, message: 'The tool did not answer in time.' },
  MODEL_NOT_FOUND: { status: 404, rpc: -32004, retryable: false, message: 'There is no such model.' },
  CONTEXT_WINDOW_EXCEEDED: {
    status: 400,
    rpc: -32600,
    retryable: false,
    message: 'The conversation is too long for the model.',
  },
  CONTENT_FILTERED: {
    status: 400,
    rpc: -32600,
    retryable: false,
    message: 'The provider refused the content.',
  },
  PROVIDER_AUTH: { status: 502, rpc: -32051, retryable: false, message: 'The provider refused the key.' },
  PROVIDER_RATE_LIMIT: {
    status: 429,
    rpc: -32029,
    retryable: true,
    message: 'The provider asks to slow down.',
  },
  PROVIDER_UNAVAILABLE: {
    status: 502,
    rpc: -32052,
    retryable: true,
    message: 'The provider failed or cannot be reached.',
  },
  PROVIDER_STREAM_LOST: {
    status: 502,
    rpc: -32053,
    retryable: true,
    message: "The provider's stream broke in the middle.",
  },
  INTERNAL: {
    status: 500,
    rpc: -32603,
    retryable: false,
    message: 'Something went wrong on our side. The log has it under the request id.',
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorCatalogue, value);
}

export interface CodelabErrorOptions {
  requestId?: string | undefined;
  retryAfterMs?: number | undefined;
  details?: unknown;
  cause?: unknown;
}

/** The one error class: thrown by services and by the SDK, told apart by `code`. */
export class CodelabError extends Error {
  override readonly name = 'CodelabError';
  readonly code: ErrorCode;
  /** True where the same call may succeed later. */
  readonly retryable: boolean;
  /** The call's id in the services' logs; empty where none was assigned. */
  readonly requestId: string;
  readonly retryAfterMs: number | undefined;
  readonly details: unknown;

  constructor(code: ErrorCode, message?: string, options: CodelabErrorOptions = {}) {
    super(message ?? errorCatalogue[code].message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = errorCatalogue[code].retryable;
    this.requestId = options.requestId ?? '';
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
  }
}

/** The fields of `error` that go on a wire. `requestId` is used where the error has none. */
export function toWireError(error: CodelabError, requestId: string): WireError {
  return {
    code: error.code,
    message: error.message,
    retryable: error.retryable,
    requestId: error.requestId || requestId,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.details === undefined ? {} : { details: error.details }),
  };
}

/** Returns the error that came over a wire, or undefined if it isn't one of ours. */
export function fromWireError(value: unknown, cause?: unknown): CodelabError | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const wire = value as Partial<WireError>;
  if (!isErrorCode(wire.code)) return undefined;
  return new CodelabError(wire.code, wire.message, {
    requestId: wire.requestId,
    retryAfterMs: wire.retryAfterMs,
    details: wire.details,
    cause,
  });
}
