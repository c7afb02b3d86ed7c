import { CodelabError as ProtocolError } from '@codelab/protocol';

/** What went wrong. The list may grow: treat a code you don't know by `retryable`. */
export type ErrorCode =
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'VALIDATION'
  | 'PAYLOAD_TOO_LARGE'
  | 'SESSION_BUSY'
  | 'RUN_NOT_ACTIVE'
  | 'INPUT_ALREADY_DELIVERED'
  | 'APPROVAL_ALREADY_RESOLVED'
  | 'ANSWER_REPLACED'
  | 'TOOL_CALL_FINISHED'
  | 'IDEMPOTENCY_MISMATCH'
  | 'OVERLOADED'
  | 'RATE_LIMITED'
  | 'BUDGET_EXCEEDED'
  | 'TOOL_TIMEOUT'
  | 'MODEL_NOT_FOUND'
  | 'CONTEXT_WINDOW_EXCEEDED'
  | 'CONTENT_FILTERED'
  | 'PROVIDER_AUTH'
  | 'PROVIDER_RATE_LIMIT'
  | 'PROVIDER_UNAVAILABLE'
  | 'PROVIDER_STREAM_LOST'
  | 'INTERNAL';

/** The one class of error that the SDK throws, told apart by `code`. */
export interface CodelabError extends Error {
  readonly name: 'CodelabError';
  readonly code: ErrorCode;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** The call's id in the services' logs; empty where none was assigned. */
  readonly requestId: string;
  /** Wait at least so long before the next try. Milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** For `VALIDATION`: a list of `{path, message}`. */
  readonly details: unknown;
}

/** For `error instanceof CodelabError`. */
export const CodelabError: { readonly prototype: CodelabError; [Symbol.hasInstance](value: unknown): boolean } =
  ProtocolError;
