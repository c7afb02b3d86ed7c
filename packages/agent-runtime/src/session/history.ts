import type { ItemPage } from '@codelab/protocol';
import type { LiveStep } from '../events/live-step.ts';
import { toPageCursor } from '../lib/page-cursor.ts';
import type { Store, StoredItem } from '../store/store.ts';

const SNAPSHOT_ITEMS = 200;

export interface HistoryOptions {
  store: Store;
  sessionId: string;
  /** Returns the live step, which is not stored yet. */
  live(): LiveStep | undefined;
  /** The place of the newest stored item. */
  position(): number;
}

/** The items of a session: those that are stored, with what is being said behind them. */
export interface History {
  /** Reads the newest items before `before`, oldest first. */
  page(options: { before?: number; limit: number }): Promise<{ items: StoredItem[]; more: boolean }>;
  /** Reads the newest page, for a reader that begins anew. */
  snapshot(): Promise<ItemPage>;
}

export function createHistory({ store, sessionId, live, position }: HistoryOptions): History {
  const liveItems = (step: LiveStep): StoredItem[] =>
    step.items.map((_, index) => ({ position: position() + 1 + index, item: step.itemOf(index) }));

  const page: History['page'] = async ({ before, limit }) => {
    const step = before === undefined ? live() : undefined;
    // As it was before the store is asked: what is completed meanwhile is in an event after that.
    const saying = step === undefined ? [] : liveItems(step);
    const { items, more } = await store.items(sessionId, { limit, ...(before === undefined ? {} : { before }) });
    const known = new Set(items.map(({ item }) => item.itemId));
    const all = [...items, ...saying.filter(({ item }) => !known.has(item.itemId))];
    return { items: all.slice(-limit), more: more || all.length > limit };
  };

  return {
    page,
    async snapshot() {
      const { items, more } = await page({ limit: SNAPSHOT_ITEMS });
      const first = items[0];
      return {
        items: items.map(({ item }) => item),
        ...(more && first !== undefined ? { nextCursor: toPageCursor(first.position) } : {}),
      };
    },
  };
}
