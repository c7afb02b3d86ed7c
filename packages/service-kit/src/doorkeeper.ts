import type { CodelabError } from '@codelab/protocol';
import { createAttempts } from './attempts.ts';
import { type Credentials, tokenOf } from './auth.ts';

/** What a caller is told who is turned away. */
export interface Doorkeeper {
  /** `refusal`, or that there were too many of them. Whoever shows a wrong key waits for it, longer each time. */
  told(refusal: CodelabError, credentials: Credentials, address: string | undefined): Promise<CodelabError>;
}

export function createDoorkeeper(): Doorkeeper {
  const attempts = createAttempts();
  return {
    async told(refusal, credentials, address = '') {
      const isGuess = refusal.code === 'UNAUTHORIZED' && hasKey(credentials);
      return isGuess ? attempts.failed(address, refusal) : refusal;
    },
  };
}

/** Whether a key was shown, wherever any of our services takes one. */
function hasKey(credentials: Credentials): boolean {
  const { headers } = credentials;
  return tokenOf(credentials) !== undefined || headers['x-api-key'] !== undefined || headers['api-key'] !== undefined;
}
