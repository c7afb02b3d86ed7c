import { itemBytes, normalizeProject, type RememberedRule, type Session } from '@codelab/protocol';
import { type CompiledQuery, type ExpressionBuilder, type Kysely, sql } from 'kysely';
import type { Statement, Write } from './commit-queue.ts';
import type { Database } from './schema.ts';
import type {
  AnnouncedTool,
  StoredApproval,
  StoredEvent,
  StoredInput,
  StoredItem,
  StoredRun,
  StoredSession,
  StoredStep,
} from './store.ts';

/** The new row's columns, in place of those that are there: a value is bound once, however large it is. */
function taken<C extends string>(...columns: C[]) {
  return ({ ref }: { ref(name: `excluded.${C}`): unknown }) =>
    Object.fromEntries(columns.map((column) => [column, ref(`excluded.${column}`)])) as never;
}

/** The statement fails the transaction with `Conflict` where it changes no row. */
function expectingOneRow(statement: CompiledQuery): Statement {
  return { ...statement, expectRows: 1 };
}

/** Finds the rules of a session and of its project. A session without a project shares none. */
export function ofSession(sessionId: string, project: string) {
  return ({ or, eb }: ExpressionBuilder<Database, 'rules'>) =>
    or([
      eb('session_id', '=', sessionId),
      // As it is written is how it was stored once.
      ...(project === '' ? [] : [eb('project', 'in', [normalizeProject(project), project])]),
    ]);
}

/** One step of a session's numbering. `from`, `to`: the number of the last event before and after. */
export interface Advance {
  sessionId: string;
  from: number;
  to: number;
  commitId: string;
  /** Of all events so far. */
  eventBytes: number;
}

export type Statements = ReturnType<typeof createStatements>;

/** The changes, each of which may be made twice. */
export function createStatements(db: Kysely<Database>) {
  return {
    /** A session with its first event. The same commit again changes nothing; another one fails with `Conflict`. */
    session(
      { session, number, createdFingerprint: createdWith, tools, seq, eventBytes }: StoredSession,
      commitId: string,
    ): Write {
      const row = {
        last_seq: seq,
        last_commit: commitId,
        event_bytes: eventBytes,
        session_id: session.sessionId,
        number,
        project: session.project,
        created_with: createdWith,
        data: JSON.stringify(session),
        tools: JSON.stringify(tools),
      };
      return [
        db
          .insertInto('sessions')
          .values(row)
          .onConflict((c) =>
            c.column('session_id').doUpdateSet(taken('last_commit')).where('sessions.last_commit', '=', commitId),
          )
          .compile(),
      ].map(expectingOneRow);
    },

    /**
     * Moves the session's last event from `from` to `to`. Fails with `Conflict` where another commit came between; the same commit
     * again changes nothing.
     */
    advance({ sessionId, from, to, commitId, eventBytes }: Advance): Write {
      return [
        db
          .updateTable('sessions')
          .set({ last_seq: to, last_commit: commitId, event_bytes: eventBytes })
          .where('session_id', '=', sessionId)
          .where(({ or, eb }) => or([eb('last_seq', '=', from), eb('last_commit', '=', commitId)]))
          .compile(),
      ].map(expectingOneRow);
    },

    events(sessionId: string, events: StoredEvent[]): Write {
      if (events.length === 0) return [];
      return [
        db
          .insertInto('session_events')
          .values(
            events.map(({ seq, ts, bytes, totalBytes, data }) => ({
              session_id: sessionId,
              seq,
              ts,
              bytes,
              total_bytes: totalBytes,
              data,
            })),
          )
          .onConflict((c) => c.columns(['session_id', 'seq']).doNothing())
          .compile(),
      ];
    },

    /** Evicts the session's oldest events: those up to which `totalBytes` were stored. */
    evictEvents(sessionId: string, totalBytes: number): Write {
      return [
        db
          .deleteFrom('session_events')
          .where('session_id', '=', sessionId)
          .where('total_bytes', '<=', totalBytes)
          .compile(),
      ];
    },

    /** Evicts events that are older than `ts`, of all sessions. */
    evictEventsBefore(ts: number): Write {
      return [db.deleteFrom('session_events').where('ts', '<', ts).compile()];
    },

    sessionData(session: Session): Write {
      return [
        db
          .updateTable('sessions')
          .set({ data: JSON.stringify(session) })
          .where('session_id', '=', session.sessionId)
          .compile(),
      ];
    },

    sessionTools(sessionId: string, tools: AnnouncedTool[]): Write {
      return [
        db
          .updateTable('sessions')
          .set({ tools: JSON.stringify(tools) })
          .where('session_id', '=', sessionId)
          .compile(),
      ];
    },

    /** Usage stays, as nobody's: it was spent, but not by a session of that name that comes later. Rules of a project stay too. */
    deleteSession(sessionId: string): Write {
      const tables = [
        'session_events',
        'results',
        'rules',
        'approvals',
        'items',
        'runs',
        'inputs',
        'sessions',
      ] as const;
      return [
        ...tables.map((table) => db.deleteFrom(table).where('session_id', '=', sessionId).compile()),
        db.updateTable('steps').set({ session_id: '' }).where('session_id', '=', sessionId).compile(),
      ];
    },

    /** The items of one session up to `upTo` become another's. */
    copyItems(from: string, to: string, upTo: number): Write {
      return [
        sql`insert into items (session_id, position, item_id, kind, open, bytes, data, hidden)
        select ${to}, position, item_id, kind, 0, bytes, data, hidden from items
        where session_id = ${from} and position <= ${upTo} and open = 0
        on conflict do nothing`,
        // They were not sent here: only their attachments are looked up.
        sql`insert into inputs (session_id, input_id, position, status, run_id, sent_with, request_id, event_id, data)
        select ${to}, case when input_id like '@%' then input_id else '@' || run_id || '/' || input_id end,
        position, status, run_id, sent_with, request_id, '', data from inputs
        where session_id = ${from} and status = 'delivered' on conflict do nothing`,
        sql`insert into results (session_id, result_id, data)
        select ${to}, result_id, data from results where session_id = ${from} on conflict do nothing`,
      ].map((statement) => statement.compile(db));
    },

    input({ input, position, sentFingerprint: sentWith, requestId, eventId, ...rest }: StoredInput): Write {
      const row = {
        session_id: input.sessionId,
        input_id: input.inputId,
        position,
        status: input.status,
        run_id: input.runId ?? null,
        sent_with: sentWith,
        request_id: requestId,
        event_id: eventId,
        data: JSON.stringify({ input, ...rest }),
      };
      return [
        db
          .insertInto('inputs')
          .values(row)
          .onConflict((c) =>
            c.columns(['session_id', 'input_id']).doUpdateSet(taken('status', 'run_id', 'position', 'data')),
          )
          .compile(),
      ];
    },

    run({ run, attempts: resumes, isCancelled }: StoredRun): Write {
      const row = {
        run_id: run.runId,
        session_id: run.sessionId,
        status: run.status,
        resumes,
        data: JSON.stringify({ ...run, isCancelled }),
      };
      return [
        db
          .insertInto('runs')
          .values(row)
          .onConflict((c) => c.column('run_id').doUpdateSet(taken('status', 'resumes', 'data')))
          .compile(),
      ];
    },

    item(sessionId: string, { position, item, modelOnly: hidden }: StoredItem): Write {
      const row = {
        session_id: sessionId,
        position,
        item_id: item.itemId,
        kind: item.kind,
        open: item.status === 'in_progress' ? 1 : 0,
        bytes: itemBytes(item),
        data: JSON.stringify(item),
        hidden: hidden === undefined ? null : JSON.stringify(hidden),
      };
      return [
        db
          .insertInto('items')
          .values(row)
          .onConflict((c) =>
            c.columns(['session_id', 'position']).doUpdateSet(taken('open', 'bytes', 'data', 'hidden')),
          )
          .compile(),
      ];
    },

    step({ runId, step, sessionId, model, usage, costUsd }: StoredStep): Write {
      const row = {
        run_id: runId,
        step,
        session_id: sessionId,
        model,
        input_tokens: usage.inputTokens,
        output_tokens: usage.outputTokens,
        cached_tokens: usage.cachedTokens,
        reasoning_tokens: usage.reasoningTokens,
        cost_usd: costUsd ?? null,
        created_at: Date.now(),
      };
      return [
        db
          .insertInto('steps')
          .values(row)
          .onConflict((c) => c.columns(['run_id', 'step']).doNothing())
          .compile(),
      ];
    },

    approval({ sessionId, approval, pending, decidedWith, resolution }: StoredApproval): Write {
      const row = {
        session_id: sessionId,
        call_id: approval.callId,
        pending: pending ? 1 : 0,
        decided_with: decidedWith ?? null,
        data: JSON.stringify({ ...approval, ...(resolution === undefined ? {} : { resolution }) }),
      };
      return [
        db
          .insertInto('approvals')
          .values(row)
          .onConflict((c) => c.columns(['session_id', 'call_id']).doUpdateSet(taken('pending', 'decided_with', 'data')))
          .compile(),
      ];
    },

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

    result(sessionId: string, resultId: string, text: string): Write {
      return [
        db
          .insertInto('results')
          .values({ session_id: sessionId, result_id: resultId, data: JSON.stringify(text) })
          .onConflict((c) => c.columns(['session_id', 'result_id']).doNothing())
          .compile(),
      ];
    },
  };
}
