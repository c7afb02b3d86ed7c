import type { CodelabError } from '@codelab/protocol';
import { createAttempts } from './attempts.ts';
import { type Credentials, tokenOf } from './auth.ts';
import type { Logger } from './logger.ts';

/** How often the log is told that somebody guesses keys. Milliseconds. */
const LOG_EVERY_MS = 10_000;

/** Refusals that would fill the log. */
const countless = new WeakSet<CodelabError>();

/** Whether an error is one of so many that a line for each would be no help. */
export function isCountless(error: CodelabError): boolean {
  return countless.has(error);
}

/** What a caller is told who is turned away. */
export interface Doorkeeper {
  /** `refusal`, or that there were too many of them. Whoever shows a wrong key waits for it, longer each time. */
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
        log.warn({ address, event: 'keys.guessed' }, 'too many wrong keys come from an address: not each is logged');
      }
      return told;
    },
  };
}

/** Whether a key was shown, wherever any of our services takes one. */
function hasKey(credentials: Credentials): boolean {
  const { headers } = credentials;
  return tokenOf(credentials) !== undefined || headers['x-api-key'] !== undefined || headers['api-key'] !== undefined;
}
