import type { Attachment, Input } from '@codelab/protocol';
import { type Insertable, type Kysely, sql } from 'kysely';
import type { Write } from '../commit-queue.ts';
import { excluded } from '../excluded.ts';
import { prepare } from '../prepare.ts';
import type { Reader } from '../reader.ts';
import { parseObject, reviveDates } from '../row-json.ts';
import type { Database, TableRow } from '../schema.ts';

export interface StoredInput extends InputData {
  position: number;
  sentFingerprint: string;
  requestId: string;
  eventId: string;
}

/** The column `data`. */
interface InputData {
  input: Input;
  whenBusy: 'queue' | 'steer' | 'interrupt' | 'reject';
  agent?: string;
  attachments?: Attachment[];
}

export interface InputQueries {
  input(sessionId: string, inputId: string): Promise<StoredInput | undefined>;
  /** Returns the attachments of a run's input, also where that was sent to the session that this one was forked from. */
  attachments(sessionId: string, runId: string, inputId: string): Promise<Attachment[] | undefined>;
  /** In order. Leaves out those that cannot be read: nobody knows what they ask for. */
  queuedInputs(sessionId: string): Promise<StoredInput[]>;
}

export function createInputQueries({ db, query, parse }: Reader): InputQueries {
  const toStoredInput = (row: TableRow<'inputs'>, data: InputData): StoredInput => ({
    ...data,
    input: { ...data.input, sessionId: row.session_id },
    position: row.position,
    sentFingerprint: row.sent_with,
    requestId: row.request_id,
    eventId: row.event_id,
  });
  const parseInput = (row: TableRow<'inputs'>): StoredInput | undefined =>
    parse('inputs', row.session_id, row.input_id, () => {
      const data = parseObject<InputData>(row.data);
      return toStoredInput(row, { ...data, input: reviveDates(data.input, ['createdAt']) });
    });
  const readInput = (row: TableRow<'inputs'>): StoredInput =>
    parseInput(row) ?? toStoredInput(row, { input: unreadableInput(row), whenBusy: 'queue' });

  return {
    input: (sessionId, inputId) =>
      query(async () => {
        const row = await db
          .selectFrom('inputs')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('input_id', '=', inputId)
          .executeTakeFirst();
        return row && readInput(row);
      }),

    attachments: (sessionId, runId, inputId) =>
      query(async () => {
        const row = await db
          .selectFrom('inputs')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('input_id', 'in', [inputId, `@${runId}/${inputId}`])
          .where('run_id', '=', runId)
          .executeTakeFirst();
        return row && readInput(row).attachments;
      }),

    queuedInputs: (sessionId) =>
      query(async () => {
        const found = await db
          .selectFrom('inputs')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('status', '=', 'queued')
          .orderBy('position')
          .execute();
        return found.flatMap((row) => parseInput(row) ?? []);
      }),
  };
}

export function createInputStatements(db: Kysely<Database>) {
  const upsert = prepare(
    (row: Insertable<Database['inputs']>) =>
      db
        .insertInto('inputs')
        .values(row)
        .onConflict((c) =>
          c.columns(['session_id', 'input_id']).doUpdateSet(excluded('status', 'run_id', 'position', 'data')),
        )
        .compile(),
    (row) => Object.values(row),
  );
  return {
    input({ input, position, sentFingerprint, requestId, eventId, ...rest }: StoredInput): Write {
      const row = {
        session_id: input.sessionId,
        input_id: input.inputId,
        position,
        status: input.status,
        run_id: input.runId ?? null,
        sent_with: sentFingerprint,
        request_id: requestId,
        event_id: eventId,
        data: JSON.stringify({ input, ...rest }),
      };
      return [upsert(row)];
    },

    /** Copies a session's delivered inputs to its fork. They were not sent there: only their attachments are looked up. */
    copyInputs(from: string, to: string): Write {
      return [
        sql`insert into inputs (session_id, input_id, position, status, run_id, sent_with, request_id, event_id, data)
        select ${to}, case when input_id like '@%' then input_id else '@' || run_id || '/' || input_id end,
        position, status, run_id, sent_with, request_id, '', data from inputs
        where session_id = ${from} and status = 'delivered' on conflict do nothing`.compile(db),
      ];
    },
  };
}

function unreadableInput(row: TableRow<'inputs'>): Input {
  return {
    inputId: row.input_id,
    sessionId: row.session_id,
    content: 'This message cannot be read any more.',
    status: row.status,
    ...(row.run_id === null ? {} : { runId: row.run_id }),
    createdAt: new Date(0),
  };
}
