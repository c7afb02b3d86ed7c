import type { Kysely } from 'kysely';
import type { Write } from './commit-queue.ts';
import type { Database } from './schema.ts';
import { createApprovalStatements } from './tables/approvals.ts';
import { createEventStatements } from './tables/events.ts';
import { createInputStatements } from './tables/inputs.ts';
import { createItemStatements } from './tables/items.ts';
import { createResultStatements } from './tables/results.ts';
import { createRuleStatements } from './tables/rules.ts';
import { createRunStatements } from './tables/runs.ts';
import { createSessionStatements } from './tables/sessions.ts';
import { createStepStatements } from './tables/steps.ts';

const SESSION_TABLES = [
  'session_events',
  'results',
  'rules',
  'approvals',
  'items',
  'runs',
  'inputs',
  'sessions',
] as const;

/** The changes to all tables. Each may be made twice: it comes to the same. */
export type Statements = ReturnType<typeof createStatements>;

export function createStatements(db: Kysely<Database>) {
  const tables = {
    ...createSessionStatements(db),
    ...createInputStatements(db),
    ...createRunStatements(db),
    ...createItemStatements(db),
    ...createStepStatements(db),
    ...createApprovalStatements(db),
    ...createRuleStatements(db),
    ...createEventStatements(db),
    ...createResultStatements(db),
  };
  return {
    ...tables,

    /** Copies a session's history up to the position `upTo` to its fork. */
    copyHistory(from: string, to: string, upTo: number): Write {
      return [tables.copyItems(from, to, upTo), tables.copyInputs(from, to), tables.copyResults(from, to)].flat();
    },

    /** Deletes a session. Its usage stays, as nobody's: a later session of the same id did not cause it. Rules of its project stay too. */
    deleteSession(sessionId: string): Write {
      return [
        ...SESSION_TABLES.map((table) => db.deleteFrom(table).where('session_id', '=', sessionId).compile()),
        db.updateTable('steps').set({ session_id: '' }).where('session_id', '=', sessionId).compile(),
      ];
    },
  };
}
