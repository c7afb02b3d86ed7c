import { type Attachment, type Item, itemBytes, type SignedThinkingBlock } from '@codelab/protocol';
import { type Insertable, type Kysely, sql } from 'kysely';
import type { Write } from '../commit-queue.ts';
import { excluded } from '../excluded.ts';
import { countFitting, PAGE_BYTES } from '../page.ts';
import { prepare } from '../prepare.ts';
import type { Reader } from '../reader.ts';
import { parseObject, reviveDates } from '../row-json.ts';
import type { Database, TableRow } from '../schema.ts';

/** An item with its place in the history, and the part of it that only the model sees. */
export interface StoredItem {
  position: number;
  item: Item;
  modelOnly?: ModelOnly;
}

export interface ModelOnly {
  /** The thinking of the step that the item begins: Anthropic's wire wants it back. */
  thinking?: SignedThinkingBlock[];
  /** Of a `compaction`: the model's context from here on, without its items. */
  view?: { summary?: string; summarizedThrough: number; trimmedThrough: number };
  /** Of a call: the images and PDFs of its result. */
  media?: Attachment[];
  /** Of a call whose tool may have begun. */
  isStarted?: boolean;
  /** Of a call: the client that was asked to run it. */
  offeredTo?: string;
}

/** The column `hidden`. */
interface ModelOnlyData extends Omit<ModelOnly, 'view'> {
  view?: { summary?: string; upTo: number; trimmedUpTo: number };
}

export interface ItemQueries {
  lastPosition(sessionId: string): Promise<number>;
  item(sessionId: string, itemId: string): Promise<StoredItem | undefined>;
  /** Returns the newest items before `before`, oldest first, limited by count and by bytes; at least one. `more`: there are older ones. */
  items(
    sessionId: string,
    options: { before?: number; limit: number; bytes?: number },
  ): Promise<{ items: StoredItem[]; more: boolean }>;
  /** Returns the items in progress, in order. */
  openItems(sessionId: string): Promise<StoredItem[]>;
  /** Returns the newest summary of a history that was compacted. */
  lastCompaction(sessionId: string): Promise<StoredItem | undefined>;
}

export function createItemQueries({ db, query, parse }: Reader): ItemQueries {
  const toItem = (row: TableRow<'items'>) => toStoredItem(row, parse);

  return {
    lastPosition: (sessionId) =>
      query(async () => {
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
      query(async () => {
        const row = await db
          .selectFrom('items')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('item_id', '=', itemId)
          .executeTakeFirst();
        return row && toItem(row);
      }),

    items: (sessionId, { before = Number.MAX_SAFE_INTEGER, limit, bytes = PAGE_BYTES }) =>
      query(async () => {
        // Their sizes first: two hundred items may be two hundred megabytes.
        const sizes = await db
          .selectFrom('items')
          .select(['position', 'bytes'])
          .where('session_id', '=', sessionId)
          .where('position', '<', before)
          .orderBy('position', 'desc')
          .limit(limit + 1)
          .execute();
        const count = countFitting(sizes, limit, bytes);
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
        return { items: found.map(toItem), more: sizes.length > count };
      }),

    openItems: (sessionId) =>
      query(async () => {
        const found = await db
          .selectFrom('items')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('open', '=', 1)
          .orderBy('position')
          .execute();
        return found.map(toItem);
      }),

    lastCompaction: (sessionId) =>
      query(async () => {
        const row = await db
          .selectFrom('items')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('kind', '=', 'compaction')
          .orderBy('position', 'desc')
          .limit(1)
          .executeTakeFirst();
        return row && toItem(row);
      }),
  };
}

export function createItemStatements(db: Kysely<Database>) {
  const upsert = prepare(
    (row: Insertable<Database['items']>) =>
      db
        .insertInto('items')
        .values(row)
        .onConflict((c) =>
          c.columns(['session_id', 'position']).doUpdateSet(excluded('open', 'bytes', 'data', 'hidden')),
        )
        .compile(),
    (row) => Object.values(row),
  );
  return {
    item(sessionId: string, { position, item, modelOnly }: StoredItem): Write {
      const row = {
        session_id: sessionId,
        position,
        item_id: item.itemId,
        kind: item.kind,
        open: item.status === 'in_progress' ? 1 : 0,
        bytes: itemBytes(item) + mediaLength(modelOnly?.media),
        data: JSON.stringify(item),
        hidden: modelOnly === undefined ? null : JSON.stringify(toModelOnlyData(modelOnly)),
      };
      return [upsert(row)];
    },

    /** Copies a session's finished items up to the position `upTo` to its fork. */
    copyItems(from: string, to: string, upTo: number): Write {
      return [
        sql`insert into items (session_id, position, item_id, kind, open, bytes, data, hidden)
        select ${to}, position, item_id, kind, 0, bytes, data, hidden from items
        where session_id = ${from} and position <= ${upTo} and open = 0
        on conflict do nothing`.compile(db),
      ];
    },
  };
}

/** Returns the size of an item by which pages are cut. Its media are most of it, where it has some. */
export function storedBytes({ item, modelOnly }: Omit<StoredItem, 'position'>): number {
  return itemBytes(item) + mediaLength(modelOnly?.media);
}

/** Returns the length of media or attachments, in characters. */
export function mediaLength(media: Attachment[] = []): number {
  return media.reduce((sum, { data, text }) => sum + (data ?? text ?? '').length, 0);
}

/** Returns a row as an item; a row that cannot be read as a notice that says so. */
export function toStoredItem(row: TableRow<'items'>, parse: Reader['parse']): StoredItem {
  const { session_id: sessionId, item_id: itemId, position, hidden } = row;
  const item =
    parse('items', sessionId, itemId, () => reviveDates(parseObject<Item>(row.data), ['createdAt'])) ??
    unreadableItem(itemId);
  const modelOnly =
    hidden === null ? undefined : parse('items', sessionId, itemId, () => toModelOnly(parseObject(hidden)));
  return { position, item, ...(modelOnly === undefined ? {} : { modelOnly }) };
}

function toModelOnlyData({ view, ...rest }: ModelOnly): ModelOnlyData {
  if (view === undefined) return rest;
  const { summarizedThrough: upTo, trimmedThrough: trimmedUpTo, ...more } = view;
  return { ...rest, view: { ...more, upTo, trimmedUpTo } };
}

function toModelOnly({ view, ...rest }: ModelOnlyData): ModelOnly {
  if (view === undefined) return rest;
  const { upTo: summarizedThrough, trimmedUpTo: trimmedThrough, ...more } = view;
  return { ...rest, view: { ...more, summarizedThrough, trimmedThrough } };
}

export function unreadableItem(itemId: string): Item {
  return {
    itemId,
    runId: '',
    step: 0,
    kind: 'notice',
    text: 'This entry cannot be read: the log of agent-runtime says why.',
    status: 'completed',
    createdAt: new Date(0),
  };
}
