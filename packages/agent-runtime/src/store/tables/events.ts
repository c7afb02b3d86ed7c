import { type Item, type NewSessionEvent, noUsage, type SessionEvent, transformer } from '@codelab/protocol';
import type { Insertable, Kysely } from 'kysely';
import type { Write } from '../commit-queue.ts';
import { countFitting, PAGE_BYTES } from '../page.ts';
import { prepare } from '../prepare.ts';
import type { Reader } from '../reader.ts';
import { parseObject } from '../row-json.ts';
import type { Database, TableRow } from '../schema.ts';
import { toStoredItem, unreadableItem } from './items.ts';

export interface StoredEvent {
  event: NewSessionEvent;
  seq: number;
  /** Milliseconds since 1970. */
  ts: number;
  bytes: number;
  /** The bytes of all events of the session up to this one. */
  totalBytes: number;
}

/** The column `data`: an event, or the id of the item that begins or ends, which has a row of its own. */
interface EventData {
  itemId?: string;
  startedItemId?: string;
  event?: ReturnType<typeof transformer.serialize>;
}

type EventRow = Pick<TableRow<'session_events'>, 'session_id' | 'seq' | 'ts' | 'data'>;

export interface EventQueries {
  /**
   * Returns the events behind the number `after`, in order, limited by count and by bytes; at least one where there is one. Leaves out those
   * that cannot be read: a reader that comes upon the gap begins anew.
   */
  events(sessionId: string, options: { after: number; limit: number; bytes?: number }): Promise<SessionEvent[]>;
}

export function createEventQueries({ db, query, parse }: Reader): EventQueries {
  const readEvent = (row: EventRow, items: ReadonlyMap<string, Item>): SessionEvent | undefined => {
    const { session_id: sessionId, seq, ts, data } = row;
    const event = parse('session_events', sessionId, String(seq), () => toEvent(parseObject(data), items));
    return event && ({ ...event, seq, ts } as SessionEvent);
  };

  return {
    events: (sessionId, { after, limit, bytes = PAGE_BYTES }) =>
      query(async () => {
        const sizes = await db
          .selectFrom('session_events')
          .select(['seq', 'bytes'])
          .where('session_id', '=', sessionId)
          .where('seq', '>', after)
          .orderBy('seq')
          .limit(limit)
          .execute();
        const last = sizes[countFitting(sizes, limit, bytes) - 1];
        if (last === undefined) return [];
        const found = await db
          .selectFrom('session_events')
          .select(['session_id', 'seq', 'ts', 'data'])
          .where('session_id', '=', sessionId)
          .where('seq', '>', after)
          .where('seq', '<=', last.seq)
          .orderBy('seq')
          .execute();
        const itemIds = found.flatMap((row) => itemIdOf(row) ?? []);
        const rows =
          itemIds.length === 0
            ? []
            : await db
                .selectFrom('items')
                .selectAll()
                .where('session_id', '=', sessionId)
                .where('item_id', 'in', itemIds)
                .execute();
        const items = new Map(rows.map((row) => [row.item_id, toStoredItem(row, parse).item]));
        return found.flatMap((row) => readEvent(row, items) ?? []);
      }),
  };
}

/** Larger batches are compiled each time. */
const MAX_PREPARED = 32;

export function createEventStatements(db: Kysely<Database>) {
  const build = (rows: Array<Insertable<Database['session_events']>>) =>
    db
      .insertInto('session_events')
      .values(rows)
      .onConflict((c) => c.columns(['session_id', 'seq']).doNothing())
      .compile();
  /** By the number of rows. */
  const inserts = Array.from({ length: MAX_PREPARED + 1 }, () =>
    prepare(build, (rows) => rows.flatMap((row) => Object.values(row))),
  );
  return {
    events(sessionId: string, events: StoredEvent[]): Write {
      if (events.length === 0) return [];
      const rows = events.map(({ event, seq, ts, bytes, totalBytes }) => ({
        session_id: sessionId,
        seq,
        ts,
        bytes,
        total_bytes: totalBytes,
        data: JSON.stringify(toEventData(event)),
      }));
      return [(inserts[rows.length] ?? build)(rows)];
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

    /** Evicts the events of all sessions that are older than `ts`. */
    evictEventsBefore(ts: number): Write {
      return [db.deleteFrom('session_events').where('ts', '<', ts).compile()];
    },
  };
}

function toEventData(event: NewSessionEvent): EventData {
  if (event.type === 'item.completed') return { itemId: event.item.itemId };
  if (event.type === 'item.started') return { startedItemId: event.item.itemId };
  return { event: transformer.serialize(event) };
}

function toEvent({ itemId, startedItemId, event }: EventData, items: ReadonlyMap<string, Item>): NewSessionEvent {
  if (startedItemId !== undefined)
    return { type: 'item.started', item: items.get(startedItemId) ?? unreadableItem(startedItemId) };
  if (itemId !== undefined) return { type: 'item.completed', item: items.get(itemId) ?? unreadableItem(itemId) };
  const read = transformer.deserialize(event as never) as NewSessionEvent;
  // An older version knew fewer kinds of tokens.
  return 'usage' in read ? { ...read, usage: { ...noUsage, ...read.usage } } : read;
}

/** Returns the id of the item that the event begins or ends, without parsing it. */
function itemIdOf(row: EventRow): string | undefined {
  return /^\{"(?:itemId|startedItemId)":"([^"]*)"/.exec(row.data)?.[1];
}
