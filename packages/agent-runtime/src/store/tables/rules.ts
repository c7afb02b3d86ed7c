import { normalizeProject, type RememberedRule } from '@codelab/protocol';
import type { ExpressionBuilder, Kysely } from 'kysely';
import type { Write } from '../commit-queue.ts';
import type { Reader } from '../reader.ts';
import { parseObject, reviveDates } from '../row-json.ts';
import type { Database, TableRow } from '../schema.ts';

export interface RuleQueries {
  /** Returns the remembered rules of a session and of its project. One that cannot be read denies everything. */
  rules(sessionId: string, project: string): Promise<RememberedRule[]>;
}

export function createRuleQueries({ db, query, parse }: Reader): RuleQueries {
  const toRule = (row: TableRow<'rules'>, sessionId: string): RememberedRule =>
    parse('rules', sessionId, row.rule_id, () => ({
      ...reviveDates(parseObject<RememberedRule>(row.data), ['createdAt']),
      ruleId: row.rule_id,
    })) ?? unreadableRule(row);

  return {
    rules: (sessionId, project) =>
      query(async () => {
        const found = await db.selectFrom('rules').selectAll().where(ofSession(sessionId, project)).execute();
        return found.map((row) => toRule(row, sessionId));
      }),
  };
}

export function createRuleStatements(db: Kysely<Database>) {
  return {
    rule(rule: RememberedRule, sessionId: string, project: string): Write {
      const row = {
        rule_id: rule.ruleId,
        session_id: rule.scope === 'session' ? sessionId : null,
        project: rule.scope === 'project' ? normalizeProject(project) : null,
        data: JSON.stringify(rule),
      };
      return [
        db
          .insertInto('rules')
          .values(row)
          .onConflict((c) => c.column('rule_id').doNothing())
          .compile(),
      ];
    },

    /** Deletes a rule where it is one of the session, or of its project. */
    deleteRule(ruleId: string, sessionId: string, project: string): Write {
      return [db.deleteFrom('rules').where('rule_id', '=', ruleId).where(ofSession(sessionId, project)).compile()];
    },
  };
}

/** Finds the rules of a session and of its project. A session without a project shares none. */
function ofSession(sessionId: string, project: string) {
  return ({ or, eb }: ExpressionBuilder<Database, 'rules'>) =>
    or([
      eb('session_id', '=', sessionId),
      // Older versions stored a project as it was written.
      ...(project === '' ? [] : [eb('project', 'in', [normalizeProject(project), project])]),
    ]);
}

/** Denies everything until somebody deletes it: the rule may have denied anything. */
function unreadableRule(row: TableRow<'rules'>): RememberedRule {
  return {
    ruleId: row.rule_id,
    tool: '*',
    resource: '**',
    effect: 'deny',
    scope: row.session_id === null ? 'project' : 'session',
    createdAt: new Date(0),
  };
}
