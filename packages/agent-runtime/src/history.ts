import { CodelabError, type CompletionMessage, type Item, type ItemPage } from '@codelab/protocol';

const PAGE_BYTES = 1024 * 1024;

/** What has been said in a session: `open` is being said. */
export interface History {
  items: Item[];
  open: Item | undefined;
}

/** The newest items before index `before`, limited by count and by bytes; at least one. */
export function toPage({ items, open }: History, { limit, before }: { limit: number; before?: number }): ItemPage {
  const all = open === undefined ? items : [...items, { ...open }];
  const end = Math.min(before ?? all.length, all.length);
  let start = end;
  let bytes = 0;
  while (start > 0 && end - start < limit) {
    bytes += (all[start - 1] as Item).text.length * 2;
    if (bytes > PAGE_BYTES && start < end) break;
    start--;
  }
  return { items: all.slice(start, end), ...(start > 0 ? { nextCursor: toCursor(start) } : {}) };
}

/** The conversation as the model is given it: without reasoning, and without what was never said. */
export function toMessages(items: Item[]): CompletionMessage[] {
  return items.flatMap((item): CompletionMessage[] => {
    if (item.kind === 'user_message') return [{ role: 'user', content: item.text }];
    if (item.kind === 'assistant_message' && item.text !== '') return [{ role: 'assistant', content: item.text }];
    return [];
  });
}

export function toCursor(index: number): string {
  return Buffer.from(`i${index}`).toString('base64url');
}

/** Throws `VALIDATION`. */
export function parseCursor(cursor: string): number {
  const [, digits] = /^i(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (digits === undefined)
    throw new CodelabError('VALIDATION', 'The cursor is not one of ours: pass a nextCursor as it came.');
  return Number(digits);
}
