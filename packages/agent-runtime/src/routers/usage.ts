import { UsageGet } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';
import type { Store } from '../store/store.ts';

export function createUsageRouter(sessions: Sessions, store: Store) {
  return router({
    get: procedure
      .input(UsageGet)
      .query(({ input: { sessionId } }) =>
        sessionId === undefined ? store.usage(undefined) : sessions.use(sessionId, () => store.usage(sessionId)),
      ),
  });
}
