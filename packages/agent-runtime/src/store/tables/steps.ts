import { addUsage, noUsage, type Usage, type UsageReport } from '@codelab/protocol';
import { type Insertable, type Kysely, sql } from 'kysely';
import type { Write } from '../commit-queue.ts';
import { prepare } from '../prepare.ts';
import type { Reader } from '../reader.ts';
import type { Database } from '../schema.ts';

export interface StoredStep {
  runId: string;
  step: number;
  sessionId: string;
  model: string;
  usage: Usage;
  costUsd: number | undefined;
}

export interface StepQueries {
  /** Returns the usage of one session, or of all, also of those that are deleted. */
  usage(sessionId: string | undefined): Promise<UsageReport>;
}

export function createStepQueries({ db, query }: Reader): StepQueries {
  return {
    usage: (sessionId) =>
      query(async () => {
        const sum = (column: string) => sql<number>`coalesce(sum(${sql.ref(column)}), 0)`;
        const sums = await db
          .selectFrom('steps')
          .select(({ fn }) => [
            'model',
            fn.countAll().as('steps'),
            sum('input_tokens').as('inputTokens'),
            sum('output_tokens').as('outputTokens'),
            sum('cached_tokens').as('cachedTokens'),
            sum('cache_write_tokens').as('cacheWriteTokens'),
            sum('reasoning_tokens').as('reasoningTokens'),
            sum('cost_usd').as('costUsd'),
          ])
          .$if(sessionId !== undefined, (select) => select.where('session_id', '=', sessionId as string))
          .groupBy('model')
          .orderBy('model')
          .execute();
        const byModel = sums.map(({ model, steps, costUsd, ...tokens }) => ({
          model,
          steps: Number(steps),
          costUsd: Number(costUsd),
          usage: Object.fromEntries(Object.entries(tokens).map(([name, value]) => [name, Number(value)])) as Usage,
        }));
        return {
          usage: byModel.reduce((total, { usage }) => addUsage(total, usage), noUsage),
          costUsd: byModel.reduce((total, { costUsd }) => total + costUsd, 0),
          steps: byModel.reduce((total, { steps }) => total + steps, 0),
          byModel,
        };
      }),
  };
}

export function createStepStatements(db: Kysely<Database>) {
  const insert = prepare(
    (row: Insertable<Database['steps']>) =>
      db
        .insertInto('steps')
        .values(row)
        .onConflict((c) => c.columns(['run_id', 'step']).doNothing())
        .compile(),
    (row) => Object.values(row),
  );
  return {
    step({ runId, step, sessionId, model, usage, costUsd }: StoredStep): Write {
      const row = {
        run_id: runId,
        step,
        session_id: sessionId,
        model,
        input_tokens: usage.inputTokens,
        output_tokens: usage.outputTokens,
        cached_tokens: usage.cachedTokens,
        cache_write_tokens: usage.cacheWriteTokens,
        reasoning_tokens: usage.reasoningTokens,
        cost_usd: costUsd ?? null,
        created_at: Date.now(),
      };
      return [insert(row)];
    },
  };
}
