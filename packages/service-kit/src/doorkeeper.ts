import type { CodelabError } from '@codelab/protocol';
import { createAttempts } from './attempts.ts';
import { type Credentials, tokenOf } from './auth.ts';
import type { Logger } from './logger.ts';

/** Milliseconds between two log lines about guessed keys. */
const LOG_EVERY_MS = 10_000;

/** Refusals that are not logged one by one. */
const countless = new WeakSet<CodelabError>();

/** True for an error of which there are too many to log each. */
export function isCountless(error: CodelabError): boolean {
  return countless.has(error);
}

/** Answers callers that are turned away. */
export interface Doorkeeper {
  /** Resolves with `refusal`, or with an error that says there were too many; after a wrong key later each time. */
  told(refusal: CodelabError, credentials: Credentials, address: string | undefined): Promise<CodelabError>;
}

export function createDoorkeeper(log: Logger): Doorkeeper {
  const attempts = createAttempts();
  let loggedAt = Number.NEGATIVE_INFINITY;
  return {
    async told(refusal, credentials, address = '') {
      const isGuess = refusal.code === 'UNAUTHORIZED' && hasKey(credentials);
      if (!isGuess) return refusal;
      const told = await attempts.failed(address, refusal);
      if (told === refusal) return told;
      countless.add(told);
      if (performance.now() - loggedAt > LOG_EVERY_MS) {
        loggedAt = performance.now();
        log.warn(
          { address, event: 'keys.guessed' },
          'too many wrong keys from one address, not all of them are logged',
        );
      }
      return told;
    },
  };
}

/** True where a key was shown, in any place in which one of our services takes one. */
function hasKey(credentials: Credentials): boolean {
  const { headers } = credentials;
  return tokenOf(credentials) !== undefined || headers['x-api-key'] !== undefined || headers['api-key'] !== undefined;
}
