import { CodelabError as ProtocolError } from '@codelab/protocol';
import type { ErrorCode } from './types.ts';

/** The one class of error that the SDK throws, told apart by `code`. */
export interface CodelabError extends Error {
  readonly name: 'CodelabError';
  readonly code: ErrorCode;
  /** True where the same call may succeed later. */
  readonly retryable: boolean;
  /** The call's id in the services' logs; empty where none was assigned. */
  readonly requestId: string;
  /** The least time to wait before the next attempt. Milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** For `VALIDATION`: a list of `{path, message}`. */
  readonly details: unknown;
}

/** For `error instanceof CodelabError`. */
export const CodelabError = ProtocolError as unknown as {
  readonly prototype: CodelabError;
  [Symbol.hasInstance](value: unknown): value is CodelabError;
};
