import type { Item, ItemPage } from '@codelab/protocol';
import { toCursor } from './cursor.ts';
import type { Store, StoredItem } from './store/store.ts';

const SNAPSHOT_ITEMS = 200;

/** The items that the store does not have yet, or not as they are: what is being written, calls without a result; and the history with them in it. */
export interface OpenItems {
  opened(stored: StoredItem): void;
  closed(stored: StoredItem): void;
  /** Those that go on, as they are now, in order. */
  list(): Item[];
  /** The newest items before `before`, oldest first. */
  page(options: { before?: number; limit: number }): Promise<{ items: StoredItem[]; more: boolean }>;
  /** The newest page, for a reader that begins anew. */
  snapshot(): Promise<ItemPage>;
}

export function createOpenItems(store: Store, sessionId: string): OpenItems {
  const open = new Map<string, StoredItem>();
  const now = (): StoredItem[] =>
    [...open.values()]
      .sort((a, b) => a.position - b.position)
      .map(({ position, item }) => ({ position, item: { ...item } }));

  const page: OpenItems['page'] = async ({ before, limit }) => {
    // As they were before the store is asked: what is completed meanwhile is in an event after that.
    const opened = before === undefined ? now() : [];
    const { items, more } = await store.items(sessionId, { limit, ...(before === undefined ? {} : { before }) });
    const all = new Map(items.map((stored) => [stored.position, stored]));
    // What is being written has no place in the store yet, or an older text there.
    for (const stored of opened) {
      const known = all.get(stored.position);
      if (known === undefined || known.item.status === 'in_progress') all.set(stored.position, stored);
    }
    const merged = [...all.values()].sort((a, b) => a.position - b.position);
    return { items: merged.slice(-limit), more: more || merged.length > limit };
  };

  return {
    opened: (stored) => void open.set(stored.item.itemId, stored),
    closed: (stored) => void open.delete(stored.item.itemId),
    list: () =>
      now()
        .map(({ item }) => item)
        .filter(({ status }) => status === 'in_progress'),
    page,
    async snapshot() {
      const { items, more } = await page({ limit: SNAPSHOT_ITEMS });
      const first = items[0];
      return {
        items: items.map(({ item }) => item),
        ...(more && first !== undefined ? { nextCursor: toCursor(first.position) } : {}),
      };
    },
  };
}
