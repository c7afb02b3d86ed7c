import {
  type Approval,
  type Attachment,
  addUsage,
  CodelabError,
  type Input,
  type Item,
  noUsage,
  type RememberedRule,
  type Resolution,
  type Run,
  retry,
  type Session,
  type SessionEvent,
  type ThinkingBlock,
  type ToolKind,
  type ToolSpec,
  type Usage,
  type UsageReport,
} from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import { sql } from 'kysely';
import { type CommitQueue, createCommitQueue, isTransient } from './commit-queue.ts';
import type { OpenDatabase } from './open-database.ts';
import { createRows } from './rows.ts';
import { createStatements, ofSession, type Statements } from './statements.ts';

/** A page of history is limited by count, and by this. */
const PAGE_BYTES = 1024 * 1024;
/** How long a read is tried again. */
const READ_MS = 3_000;
const READ_PAUSE_MS = 100;

/** A tool that a client runs, and which one. */
export interface AnnouncedTool extends ToolSpec {
  clientId: string;
  /** The strictest kind that other clients have said of a tool of this name: it stays at least that. */
  atLeast?: ToolKind;
  /** Its client has it no more; only `atLeast` still counts. */
  isGone?: true;
}

export interface StoredSession {
  number: number;
  session: Session;
  createdFingerprint: string;
  tools: AnnouncedTool[];
  /** The number of the newest event. */
  seq: number;
  /** Of all events so far. */
  eventBytes: number;
}

/** An event as it is stored: `item.completed` without its item, which is stored as such. */
export interface StoredEvent {
  seq: number;
  /** Milliseconds since 1970. */
  ts: number;
  bytes: number;
  /** Of all events of the session up to this one. */
  totalBytes: number;
  data: string;
}

export interface StoredInput {
  input: Input;
  position: number;
  whenBusy: 'queue' | 'steer' | 'interrupt' | 'reject';
  agent?: string;
  attachments?: Attachment[];
  sentFingerprint: string;
  requestId: string;
  eventId: string;
}

/** An item with its place in the history, and what of it is for the model alone. */
export interface StoredItem {
  position: number;
  item: Item;
  modelOnly?: ModelOnly;
}

export interface ModelOnly {
  /** The thinking of the step that the item begins: Anthropic's wire wants it back. */
  thinking?: ThinkingBlock[];
  /** Of a `compaction`: what the model's view is from here on, but for its items. */
  view?: { summary?: string; upTo: number; trimmedUpTo: number };
  /** Of a call whose tool may have begun. */
  isStarted?: boolean;
}

export interface StoredRun {
  run: Run;
  /** How often a start of the process has found it unfinished. */
  attempts: number;
  /** Somebody was told that it would be cancelled. */
  isCancelled: boolean;
}

export interface StoredStep {
  runId: string;
  step: number;
  sessionId: string;
  model: string;
  usage: Usage;
  costUsd: number | undefined;
}

export interface StoredApproval {
  sessionId: string;
  approval: Approval;
  pending: boolean;
  decidedWith?: string;
  resolution?: Resolution;
}

/** Everything that outlives the process. Reads are of what is committed. */
export interface Store extends CommitQueue {
  readonly writes: Statements;
  lastSessionNumber(): Promise<number>;
  session(sessionId: string): Promise<StoredSession | undefined>;
  /** Newest first, before `before`. */
  sessions(options: { before: number; limit: number }): Promise<StoredSession[]>;
  input(sessionId: string, inputId: string): Promise<StoredInput | undefined>;
  /** What the input of a run brought with it, also where that was sent to the session that this one was forked from. */
  attachments(sessionId: string, runId: string, inputId: string): Promise<Attachment[] | undefined>;
  queuedInputs(sessionId: string): Promise<StoredInput[]>;
  /** Sessions with a run that is not over, or with inputs that wait. */
  unfinishedSessions(): Promise<string[]>;
  run(sessionId: string, runId: string): Promise<Run | undefined>;
  runningRun(sessionId: string): Promise<StoredRun | undefined>;
  lastPosition(sessionId: string): Promise<number>;
  item(sessionId: string, itemId: string): Promise<StoredItem | undefined>;
  /** The newest items before `before`, oldest first, limited by count and by bytes; at least one. `more`: there are older ones. */
  items(
    sessionId: string,
    options: { before?: number; limit: number; bytes?: number },
  ): Promise<{ items: StoredItem[]; more: boolean }>;
  /** Items that are in progress, in order. */
  openItems(sessionId: string): Promise<StoredItem[]>;
  /** The newest summary, where the history was compacted. */
  lastCompaction(sessionId: string): Promise<StoredItem | undefined>;
  /** The events behind the number `after`, in order, limited by count and by bytes; at least one where there is one. */
  events(sessionId: string, options: { after: number; limit: number; bytes?: number }): Promise<SessionEvent[]>;
  approvals(sessionId: string): Promise<Approval[]>;
  approval(sessionId: string, callId: string): Promise<StoredApproval | undefined>;
  rules(sessionId: string, project: string): Promise<RememberedRule[]>;
  result(sessionId: string, resultId: string): Promise<string | undefined>;
  usage(sessionId: string | undefined): Promise<UsageReport>;
}

export function createStore(database: Pick<OpenDatabase, 'db' | 'transact'>, log: Logger): Store {
  const { db } = database;
  const rows = createRows(log);

  /** A read is tried again where a connection was lost: the next one is another. Throws `OVERLOADED` where none can be had. */
  const read = async <T>(query: () => Promise<T>): Promise<T> => {
    const until = Date.now() + READ_MS;
    const isWorthIt = (error: unknown) => isTransient(error) && Date.now() <= until;
    try {
      return await retry(query, { delayMs: (error) => (isWorthIt(error) ? READ_PAUSE_MS : undefined) });
    } catch (error) {
      if (!isTransient(error)) throw error;
      const message = `The database cannot be read now: ${(error as Error).message}. Try again.`;
      throw new CodelabError('OVERLOADED', message, { retryAfterMs: 1000, cause: error });
    }
  };

  return {
    writes: createStatements(db),
    ...createCommitQueue(database, log),

    lastSessionNumber: () =>
      read(async () => {
        const row = await db
          .selectFrom('sessions')
          .select(({ fn }) => fn.max('number').as('last'))
          .executeTakeFirst();
        return Number(row?.last ?? 0);
      }),

    session: (sessionId) =>
      read(async () => {
        const row = await db.selectFrom('sessions').selectAll().where('session_id', '=', sessionId).executeTakeFirst();
        return row && rows.session(row);
      }),

    sessions: ({ before, limit }) =>
      read(async () => {
        const found = await db
          .selectFrom('sessions')
          .selectAll()
          .where('number', '<', before)
          .orderBy('number', 'desc')
          .limit(limit)
          .execute();
        return found.map(rows.session);
      }),

    input: (sessionId, inputId) =>
      read(async () => {
        const row = await db
          .selectFrom('inputs')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('input_id', '=', inputId)
          .executeTakeFirst();
        return row && rows.input(row);
      }),

    attachments: (sessionId, runId, inputId) =>
      read(async () => {
        const found = await db
          .selectFrom('inputs')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('input_id', 'in', [inputId, `@${runId}/${inputId}`])
          .where('run_id', '=', runId)
          .executeTakeFirst();
        return found && rows.input(found).attachments;
      }),

    queuedInputs: (sessionId) =>
      read(async () => {
        const found = await db
          .selectFrom('inputs')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('status', '=', 'queued')
          .orderBy('position')
          .execute();
        return rows.inputs(found);
      }),

    unfinishedSessions: () =>
      read(async () => {
        const found = await db
          .selectFrom('runs')
          .select('session_id')
          .where('status', '=', 'running')
          .union(db.selectFrom('inputs').select('session_id').where('status', '=', 'queued'))
          .execute();
        return found.map(({ session_id }) => session_id);
      }),

    run: (sessionId, runId) =>
      read(async () => {
        const row = await db
          .selectFrom('runs')
          .select(['session_id', 'run_id', 'data'])
          .where('run_id', '=', runId)
          .where('session_id', '=', sessionId)
          .executeTakeFirst();
        const known = row && rows.run(row);
        if (row !== undefined && known === undefined)
          throw new CodelabError('INTERNAL', `The run "${runId}" cannot be read. The log has it under the request id.`);
        return known?.run;
      }),

    runningRun: (sessionId) =>
      read(async () => {
        const row = await db
          .selectFrom('runs')
          .select(['session_id', 'run_id', 'data', 'resumes'])
          .where('session_id', '=', sessionId)
          .where('status', '=', 'running')
          .executeTakeFirst();
        const known = row && rows.run(row);
        return known && { ...known, attempts: row.resumes };
      }),

    lastPosition: (sessionId) =>
      read(async () => {
        const row = await db
          .selectFrom('items')
          .select('position')
          .where('session_id', '=', sessionId)
          .orderBy('position', 'desc')
          .limit(1)
          .executeTakeFirst();
        return row?.position ?? 0;
      }),

    item: (sessionId, itemId) =>
      read(async () => {
        const row = await db
          .selectFrom('items')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('item_id', '=', itemId)
          .executeTakeFirst();
        return row && rows.item(row);
      }),

    items: (sessionId, { before = Number.MAX_SAFE_INTEGER, limit, bytes = PAGE_BYTES }) =>
      read(async () => {
        // Their sizes first: two hundred items may be two hundred megabytes.
        const sizes = await db
          .selectFrom('items')
          .select(['position', 'bytes'])
          .where('session_id', '=', sessionId)
          .where('position', '<', before)
          .orderBy('position', 'desc')
          .limit(limit + 1)
          .execute();
        let count = 0;
        for (let left = bytes; count < Math.min(limit, sizes.length); count++) {
          left -= (sizes[count] as { bytes: number }).bytes;
          if (left < 0 && count > 0) break;
        }
        const first = sizes[count - 1];
        if (first === undefined) return { items: [], more: false };
        const found = await db
          .selectFrom('items')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('position', '>=', first.position)
          .where('position', '<', before)
          .orderBy('position')
          .execute();
        return { items: found.map(rows.item), more: sizes.length > count };
      }),

    openItems: (sessionId) =>
      read(async () => {
        const found = await db
          .selectFrom('items')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('open', '=', 1)
          .orderBy('position')
          .execute();
        return found.map(rows.item);
      }),

    lastCompaction: (sessionId) =>
      read(async () => {
        const row = await db
          .selectFrom('items')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('kind', '=', 'compaction')
          .orderBy('position', 'desc')
          .limit(1)
          .executeTakeFirst();
        return row && rows.item(row);
      }),

    events: (sessionId, { after, limit, bytes = PAGE_BYTES }) =>
      read(async () => {
        const sizes = await db
          .selectFrom('session_events')
          .select(['seq', 'bytes'])
          .where('session_id', '=', sessionId)
          .where('seq', '>', after)
          .orderBy('seq')
          .limit(limit)
          .execute();
        let count = 0;
        for (let left = bytes; count < sizes.length; count++) {
          left -= (sizes[count] as { bytes: number }).bytes;
          if (left < 0 && count > 0) break;
        }
        const last = sizes[count - 1];
        if (last === undefined) return [];
        const found = await db
          .selectFrom('session_events')
          .select(['session_id', 'seq', 'ts', 'data'])
          .where('session_id', '=', sessionId)
          .where('seq', '>', after)
          .where('seq', '<=', last.seq)
          .orderBy('seq')
          .execute();
        const itemIds = found.flatMap((row) => rows.itemIdOf(row) ?? []);
        const items =
          itemIds.length === 0
            ? []
            : await db
                .selectFrom('items')
                .selectAll()
                .where('session_id', '=', sessionId)
                .where('item_id', 'in', itemIds)
                .execute();
        const byId = new Map(items.map((row) => [row.item_id, rows.item(row).item]));
        return found.flatMap((row) => rows.event(row, byId) ?? []);
      }),

    approvals: (sessionId) =>
      read(async () => {
        const found = await db
          .selectFrom('approvals')
          .select(['session_id', 'call_id', 'data'])
          .where('session_id', '=', sessionId)
          .where('pending', '=', 1)
          .execute();
        return found.flatMap((row) => rows.approval(row) ?? []);
      }),

    approval: (sessionId, callId) =>
      read(async () => {
        const row = await db
          .selectFrom('approvals')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('call_id', '=', callId)
          .executeTakeFirst();
        const found = row && rows.approval(row);
        if (row === undefined || found === undefined) return undefined;
        const { resolution, ...approval } = found;
        return {
          sessionId,
          approval,
          ...(resolution === undefined ? {} : { resolution }),
          pending: row.pending === 1,
          ...(row.decided_with === null ? {} : { decidedWith: row.decided_with }),
        };
      }),

    rules: (sessionId, project) =>
      read(async () => {
        const found = await db.selectFrom('rules').selectAll().where(ofSession(sessionId, project)).execute();
        return found.map((row) => rows.rule(row, sessionId));
      }),

    result: (sessionId, resultId) =>
      read(async () => {
        const row = await db
          .selectFrom('results')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('result_id', '=', resultId)
          .executeTakeFirst();
        return row && rows.result(row);
      }),

    usage: (sessionId) =>
      read(async () => {
        const sum = (column: string) => sql<number>`coalesce(sum(${sql.ref(column)}), 0)`;
        const sums = await db
          .selectFrom('steps')
          .select(({ fn }) => [
            'model',
            fn.countAll().as('steps'),
            sum('input_tokens').as('inputTokens'),
            sum('output_tokens').as('outputTokens'),
            sum('cached_tokens').as('cachedTokens'),
            sum('reasoning_tokens').as('reasoningTokens'),
            sum('cost_usd').as('costUsd'),
          ])
          .$if(sessionId !== undefined, (query) => query.where('session_id', '=', sessionId as string))
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
