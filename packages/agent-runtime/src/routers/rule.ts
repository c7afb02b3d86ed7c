import { newId, type RememberedRule, RuleAdd, RuleRef, SessionRef } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Sessions } from '../sessions.ts';

export function createRuleRouter(sessions: Sessions) {
  return router({
    list: procedure
      .input(SessionRef)
      .query(async ({ input }) => ({ rules: await (await sessions.get(input.sessionId)).rules() })),
    add: procedure.input(RuleAdd).mutation(async ({ input: { sessionId, tool, resource, effect, scope } }) => {
      const rule: RememberedRule = { ruleId: newId('rule'), tool, resource, effect, scope, createdAt: new Date() };
      await (await sessions.get(sessionId)).addRule(rule);
      return { rule };
    }),
    delete: procedure
      .input(RuleRef)
      .mutation(async ({ input }) => (await sessions.get(input.sessionId)).deleteRule(input.ruleId)),
  });
}
