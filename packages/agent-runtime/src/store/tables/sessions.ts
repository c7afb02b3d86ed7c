import type { Session, ToolKind, ToolSpec } from '@codelab/protocol';
import type { CompiledQuery, Kysely } from 'kysely';
import type { Statement, Write } from '../commit-queue.ts';
import { excluded } from '../excluded.ts';
import { prepare } from '../prepare.ts';
import type { Reader } from '../reader.ts';
import { parseList, parseObject, reviveDates } from '../row-json.ts';
import type { Database, TableRow } from '../schema.ts';

export interface StoredSession {
  /** In order of creation. */
  number: number;
  session: Session;
  createdFingerprint: string;
  tools: AnnouncedTool[];
  /** The number of the newest event. */
  seq: number;
  /** The bytes of all events so far. */
  eventBytes: number;
}

/** A tool that a client runs, and which one. */
export interface AnnouncedTool extends ToolSpec {
  clientId: string;
  /** The strictest kind that other clients have announced for a tool of this name: it stays at least that. */
  atLeast?: ToolKind;
  /** Its client has it no more; only `atLeast` still counts. */
  isGone?: true;
}

/** One step of a session's numbering. `from`, `to`: the number of the last event before and after. */
export interface Advance {
  sessionId: string;
  from: number;
  to: number;
  commitId: string;
  /** The bytes of all events so far. */
  eventBytes: number;
}

export interface SessionQueries {
  lastSessionNumber(): Promise<number>;
  session(sessionId: string): Promise<StoredSession | undefined>;
  /** Newest first, before the number `before`. */
  sessions(options: { before: number; limit: number }): Promise<StoredSession[]>;
}

export function createSessionQueries({ db, query, parse }: Reader): SessionQueries {
  const toStoredSession = (row: TableRow<'sessions'>): StoredSession => {
    const { session_id: sessionId } = row;
    const session =
      parse('sessions', sessionId, sessionId, () =>
        reviveDates(parseObject<Session>(row.data), ['createdAt', 'updatedAt']),
      ) ?? unreadableSession(row);
    return {
      number: row.number,
      session,
      createdFingerprint: row.created_with,
      tools: parse('sessions', sessionId, sessionId, () => parseList<AnnouncedTool>(row.tools)) ?? [],
      seq: row.last_seq,
      eventBytes: row.event_bytes,
    };
  };

  return {
    lastSessionNumber: () =>
      query(async () => {
        const row = await db
          .selectFrom('sessions')
          .select(({ fn }) => fn.max('number').as('last'))
          .executeTakeFirst();
        return Number(row?.last ?? 0);
      }),

    session: (sessionId) =>
      query(async () => {
        const row = await db.selectFrom('sessions').selectAll().where('session_id', '=', sessionId).executeTakeFirst();
        return row && toStoredSession(row);
      }),

    sessions: ({ before, limit }) =>
      query(async () => {
        const found = await db
          .selectFrom('sessions')
          .selectAll()
          .where('number', '<', before)
          .orderBy('number', 'desc')
          .limit(limit)
          .execute();
        return found.map(toStoredSession);
      }),
  };
}

export function createSessionStatements(db: Kysely<Database>) {
  const advance = prepare(
    ({ sessionId, from, to, commitId, eventBytes }: Advance) =>
      db
        .updateTable('sessions')
        .set({ last_seq: to, last_commit: commitId, event_bytes: eventBytes })
        .where('session_id', '=', sessionId)
        .where(({ or, eb }) => or([eb('last_seq', '=', from), eb('last_commit', '=', commitId)]))
        .compile(),
    ({ sessionId, from, to, commitId, eventBytes }) => [to, commitId, eventBytes, sessionId, from, commitId],
  );
  return {
    /** Inserts a session with its first event. The same commit again changes nothing; another one fails with `Conflict`. */
    session({ session, number, createdFingerprint, tools, seq, eventBytes }: StoredSession, commitId: string): Write {
      const row = {
        last_seq: seq,
        last_commit: commitId,
        event_bytes: eventBytes,
        session_id: session.sessionId,
        number,
        project: session.project,
        created_with: createdFingerprint,
        data: JSON.stringify(session),
        tools: JSON.stringify(tools),
      };
      return [
        db
          .insertInto('sessions')
          .values(row)
          .onConflict((c) =>
            c.column('session_id').doUpdateSet(excluded('last_commit')).where('sessions.last_commit', '=', commitId),
          )
          .compile(),
      ].map(expectOneRow);
    },

    /**
     * Moves the session's last event from `from` to `to`. Fails with `Conflict` where another commit came between; the same commit
     * again changes nothing.
     */
    advance: (change: Advance): Write => [expectOneRow(advance(change))],

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
  };
}

/** Makes the statement fail the transaction with `Conflict` where it changes no row. */
function expectOneRow(statement: CompiledQuery): Statement {
  return { ...statement, expectRows: 1 };
}

function unreadableSession({ session_id: sessionId, project }: TableRow<'sessions'>): Session {
  const never = new Date(0);
  return {
    sessionId,
    title: 'This session cannot be read: the log of agent-runtime says why',
    agent: 'unknown',
    model: 'default',
    project,
    metadata: {},
    createdAt: never,
    updatedAt: never,
  };
}
