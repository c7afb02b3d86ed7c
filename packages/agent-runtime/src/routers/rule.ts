import { RuleAdd, RuleRef, SessionRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createRuleRouter(sessions: Sessions) {
  return router({
    list: procedure
      .input(SessionRef)
      .query(async ({ input }) => ({ rules: await sessions.use(input.sessionId, (session) => session.rules()) })),
    add: procedure.input(RuleAdd).mutation(async ({ input }) => ({
      rule: await sessions.use(input.sessionId, (session) => session.addRule(input)),
    })),
    delete: procedure
      .input(RuleRef)
      .mutation(({ input }) => sessions.use(input.sessionId, (session) => session.deleteRule(input.ruleId))),
  });
}
