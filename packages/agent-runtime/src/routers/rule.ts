import { RuleAdd, RuleRef, SessionRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createRuleRouter(sessions: Sessions) {
  return router({
    list: procedure
      .input(SessionRef)
      .query(async ({ input }) => ({ rules: await (await sessions.get(input.sessionId)).rules() })),
    add: procedure
      .input(RuleAdd)
      .mutation(async ({ input }) => ({ rule: await (await sessions.get(input.sessionId)).addRule(input) })),
    delete: procedure
      .input(RuleRef)
      .mutation(async ({ input }) => (await sessions.get(input.sessionId)).deleteRule(input.ruleId)),
  });
}
