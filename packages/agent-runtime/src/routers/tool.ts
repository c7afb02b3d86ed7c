import { CodelabError, SessionRef, ToolAnnounce, ToolProgress, ToolResult, ToolResultRead } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';
import type { Store } from '../store/store.ts';

export function createToolRouter(sessions: Sessions, store: Store) {
  return router({
    announce: procedure
      .input(ToolAnnounce)
      .mutation(({ input }) => sessions.use(input.sessionId, (session) => session.announce(input))),
    list: procedure
      .input(SessionRef)
      .query(({ input }) => sessions.use(input.sessionId, (session) => ({ tools: session.tools() }))),
    result: procedure
      .input(ToolResult)
      .mutation(({ input }) => sessions.use(input.sessionId, (session) => session.toolResult(input))),
    progress: procedure
      .input(ToolProgress)
      .mutation(({ input }) => sessions.use(input.sessionId, (session) => session.toolProgress(input))),
    readResult: procedure.input(ToolResultRead).query(async ({ input: { sessionId, resultId, offset, limit } }) => {
      const text = await sessions.use(sessionId, () => store.result(sessionId, resultId));
      if (text === undefined)
        throw new CodelabError('NOT_FOUND', `There is no result "${resultId}" in the session "${sessionId}".`);
      return { text: text.slice(offset, offset + limit), length: text.length };
    }),
  });
}
