import { CodelabError, SessionRef, ToolAnnounce, ToolProgress, ToolResult, ToolResultRead } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';
import type { Store } from '../store/store.ts';

export function createToolRouter(sessions: Sessions, store: Store) {
  return router({
    announce: procedure
      .input(ToolAnnounce)
      .mutation(async ({ input }) => (await sessions.get(input.sessionId)).announce(input)),
    list: procedure
      .input(SessionRef)
      .query(async ({ input }) => ({ tools: (await sessions.get(input.sessionId)).tools() })),
    result: procedure
      .input(ToolResult)
      .mutation(async ({ input }) => (await sessions.get(input.sessionId)).toolResult(input)),
    progress: procedure
      .input(ToolProgress)
      .mutation(async ({ input }) => (await sessions.get(input.sessionId)).toolProgress(input)),
    readResult: procedure.input(ToolResultRead).query(async ({ input: { sessionId, resultId, offset, limit } }) => {
      await sessions.get(sessionId);
      const text = await store.result(sessionId, resultId);
      if (text === undefined)
        throw new CodelabError('NOT_FOUND', `There is no result "${resultId}" in the session "${sessionId}".`);
      return { text: text.slice(offset, offset + limit), length: text.length };
    }),
  });
}
