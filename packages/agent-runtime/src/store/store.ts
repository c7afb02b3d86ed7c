import type { Logger } from '@codelab/service-kit';
import { type CommitQueue, createCommitQueue } from './commit-queue.ts';
import type { OpenDatabase } from './database.ts';
import { createReader } from './reader.ts';
import { createStatements, type Statements } from './statements.ts';
import { type ApprovalQueries, createApprovalQueries } from './tables/approvals.ts';
import { createEventQueries, type EventQueries } from './tables/events.ts';
import { createInputQueries, type InputQueries } from './tables/inputs.ts';
import { createItemQueries, type ItemQueries } from './tables/items.ts';
import { createResultQueries, type ResultQueries } from './tables/results.ts';
import { createRuleQueries, type RuleQueries } from './tables/rules.ts';
import { createRunQueries, type RunQueries } from './tables/runs.ts';
import { createSessionQueries, type SessionQueries } from './tables/sessions.ts';
import { createStepQueries, type StepQueries } from './tables/steps.ts';

export type { Statements } from './statements.ts';
export type { StoredEvent } from './tables/events.ts';
export type { StoredInput } from './tables/inputs.ts';
export { type ModelOnly, mediaLength, type StoredItem, storedBytes } from './tables/items.ts';
export type { AnnouncedTool, StoredSession } from './tables/sessions.ts';

/** Everything that outlives the process. Queries read what is committed, and throw `OVERLOADED` while the database is away. */
export interface Store
  extends CommitQueue,
    SessionQueries,
    InputQueries,
    RunQueries,
    ItemQueries,
    StepQueries,
    ApprovalQueries,
    RuleQueries,
    EventQueries,
    ResultQueries {
  /** Makes the changes that `commit` takes. */
  readonly statements: Statements;
}

export function createStore(database: Pick<OpenDatabase, 'db' | 'transact'>, log: Logger): Store {
  const reader = createReader(database.db, log);
  return {
    ...createCommitQueue(database, log),
    statements: createStatements(database.db),
    ...createSessionQueries(reader),
    ...createInputQueries(reader),
    ...createRunQueries(reader),
    ...createItemQueries(reader),
    ...createStepQueries(reader),
    ...createApprovalQueries(reader),
    ...createRuleQueries(reader),
    ...createEventQueries(reader),
    ...createResultQueries(reader),
  };
}
