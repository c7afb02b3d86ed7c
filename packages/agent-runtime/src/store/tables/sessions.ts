import type { Environment, Session, ToolKind, ToolSpec } from '@codelab/protocol';
import { type CompiledQuery, type Kysely, sql } from 'kysely';
import type { Statement, Write } from '../commit-queue.ts';
import { excluded } from '../excluded.ts';
import { prepare } from '../prepare.ts';
import type { Reader } from '../reader.ts';
import { parseList, parseObject, reviveDates } from '../row-json.ts';
import type { Database, TableRow } from '../schema.ts';
import { toSearchPattern, toSearchText } from '../search-text.ts';

export interface StoredSession {
  /** In order of creation. */
  number: number;
  session: Session;
  createdFingerprint: string;
  tools: AnnouncedTool[];
  /** Where its first client works. */
  environment?: Environment | undefined;
  /** The number of the newest event. */
  seq: number;
  /** The bytes of all events so far. */
  eventBytes: number;
}

/** A tool that clients run, and which. */
export interface AnnouncedTool extends ToolSpec {
  /** The client that announced it last. */
  clientId: string;
  /** Other clients that have it too, the newest first. */
  others?: string[];
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
  /** Lists sessions, the one used last first, behind the place `after`. */
  sessions(options: SessionsQuery): Promise<ListedSession[]>;
}

export interface SessionsQuery {
  after?: SessionPlace | undefined;
  /** A part of the title, in any case. */
  search?: string | undefined;
  project?: string | undefined;
  limit: number;
}

/** A place in the list of sessions. */
export interface SessionPlace {
  usedAt: number;
  number: number;
}

export interface ListedSession extends SessionPlace {
  session: Session;
}

export function createSessionQueries({ db, query, parse }: Reader): SessionQueries {
  const toStoredSession = (row: TableRow<'sessions'>): StoredSession => {
    const { session_id: sessionId } = row;
    const session =
      parse('sessions', sessionId, sessionId, () =>
        usedAt(reviveDates(parseObject<Session>(row.data), ['createdAt', 'updatedAt']), row.used_at),
      ) ?? unreadableSession(row);
    return {
      number: row.number,
      session,
      createdFingerprint: row.created_with,
      tools: parse('sessions', sessionId, sessionId, () => parseList<AnnouncedTool>(row.tools)) ?? [],
      ...(row.environment === ''
        ? {}
        : { environment: parse('sessions', sessionId, sessionId, () => parseObject<Environment>(row.environment)) }),
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

    sessions: ({ after, search, project, limit }) =>
      query(async () => {
        let found = db.selectFrom('sessions').selectAll();
        if (after !== undefined)
          found = found.where(sql<boolean>`(used_at, number) < (${after.usedAt}, ${after.number})`);
        if (project !== undefined) found = found.where('project', '=', project);
        if (search !== undefined && search !== '')
          found = found.where(sql<boolean>`search_text like ${toSearchPattern(search)} escape '!'`);
        const rows = await found.orderBy('used_at', 'desc').orderBy('number', 'desc').limit(limit).execute();
        return rows.map((row) => ({
          session: toStoredSession(row).session,
          usedAt: row.used_at,
          number: row.number,
        }));
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
    session(stored: StoredSession, commitId: string): Write {
      const { session, number, createdFingerprint, tools, environment, seq, eventBytes } = stored;
      const row = {
        last_seq: seq,
        last_commit: commitId,
        event_bytes: eventBytes,
        session_id: session.sessionId,
        number,
        project: session.project,
        created_with: createdFingerprint,
        ...toSessionColumns(session),
        tools: JSON.stringify(tools),
        environment: environment === undefined ? '' : JSON.stringify(environment),
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
        db.updateTable('sessions').set(toSessionColumns(session)).where('session_id', '=', session.sessionId).compile(),
      ];
    },

    sessionUsed(sessionId: string, usedAt: number): Write {
      return [db.updateTable('sessions').set({ used_at: usedAt }).where('session_id', '=', sessionId).compile()];
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

/** The last use is also told by a column of its own: a message does not write the whole session. */
function usedAt(session: Session, at: number): Session {
  return at > session.updatedAt.getTime() ? { ...session, updatedAt: new Date(at) } : session;
}

function toSessionColumns(session: Session) {
  return {
    data: JSON.stringify(session),
    search_text: toSearchText(session.title),
    used_at: session.updatedAt.getTime(),
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
