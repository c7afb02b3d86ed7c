import type { Attachment } from '@codelab/protocol';
import type { Row } from '../machine/draft.ts';
import type { AttachmentsOf, ModelContext } from '../model/model-context.ts';
import { mediaLength, type Store, type StoredItem, storedBytes } from '../store/store.ts';

/** The view is loaded back to its last summary, or this far. */
const PAGE_ITEMS = 500;
const LOADED_BYTES = 4 * 1024 * 1024;
/** The model is shown the newest attachments, and the newest media of results, up to this each: what crosses a wire has its limits. Characters. */
const ATTACHMENTS_LENGTH = 6 * 1024 * 1024;

type Message = Parameters<AttachmentsOf>[0];

/** In a fork a message of its own may have the id of one that was copied. */
function toKey({ runId = '', inputId = '' }: Message): string {
  return `${runId}/${inputId}`;
}

/** The conversation of a session as the model sees it: loaded when it is first asked for, then kept up to date. */
export interface Conversation {
  get(): Promise<ModelContext>;
  /** Takes in what was committed. */
  apply(rows: Row[]): void;
  /** Drops it: it is loaded anew when it is next asked for. */
  forget(): void;
  attachments: AttachmentsOf;
}

export function createConversation(store: Store, sessionId: string): Conversation {
  let view: Promise<ModelContext> | undefined;
  /** In order of arrival. */
  const kept = new Map<string, { files: Attachment[]; length: number }>();
  let length = 0;

  const keepAttachments = (of: Message, files: Attachment[] | undefined): void => {
    const key = toKey(of);
    if (files === undefined || files.length === 0 || kept.has(key)) return;
    const own = mediaLength(files);
    kept.set(key, { files, length: own });
    length += own;
    for (const [oldest, entry] of kept) {
      if (length <= ATTACHMENTS_LENGTH || kept.size === 1) break;
      kept.delete(oldest);
      length -= entry.length;
    }
  };

  /** Leaves out thinking of older versions, which kept no signer, unless one model has answered all the time. */
  const withKnownThinking = async (items: StoredItem[]): Promise<StoredItem[]> => {
    const isUnsigned = ({ modelOnly }: StoredItem) =>
      modelOnly?.thinking?.some((block) => block.signed_by === undefined);
    if (!items.some(isUnsigned) || (await store.usage(sessionId)).byModel.length === 1) return items;
    return items.map((stored) =>
      isUnsigned(stored) ? { ...stored, modelOnly: { ...stored.modelOnly, thinking: [] } } : stored,
    );
  };

  const load = async (): Promise<ModelContext> => {
    const {
      summarizedThrough = 0,
      trimmedThrough = 0,
      summary,
    } = (await store.lastCompaction(sessionId))?.modelOnly?.view ?? {};
    const items: StoredItem[] = [];
    let bytes = LOADED_BYTES;
    let before: number | undefined;
    for (;;) {
      const page = await store.items(sessionId, {
        limit: PAGE_ITEMS,
        bytes,
        ...(before === undefined ? {} : { before }),
      });
      const wanted = page.items.filter(({ position }) => position > summarizedThrough);
      items.unshift(...wanted);
      before = page.items[0]?.position;
      bytes -= wanted.reduce((sum, stored) => sum + storedBytes(stored), 0);
      if (!page.more || wanted.length < page.items.length || bytes <= 0) break;
    }
    // It begins with a person's message or a summary: providers take no answer without a question.
    const first = summary === undefined ? items.findIndex(({ item }) => item.kind === 'user_message') : 0;
    const loaded = withoutOldMedia(await withKnownThinking(items.slice(Math.max(0, first))));
    for (const { item } of loaded)
      if (item.attachments !== undefined && item.inputId !== undefined)
        keepAttachments(item, await store.attachments(sessionId, item.runId, item.inputId));
    return { summary, summarizedThrough, trimmedThrough, items: loaded };
  };

  return {
    get() {
      if (view === undefined) {
        const loading = load();
        view = loading;
        loading.catch(() => {
          if (view === loading) view = undefined;
        });
      }
      return view;
    },
    apply(rows) {
      for (const row of rows)
        if (row[0] === 'input' && row[1].input.status === 'delivered')
          keepAttachments(row[1].input, row[1].attachments);
      const items = rows.flatMap((row) => (row[0] === 'item' ? [row[2]] : []));
      if (items.length > 0) view = view?.then((known) => withItems(known, items));
    },
    forget() {
      view = undefined;
    },
    attachments: (item) => kept.get(toKey(item))?.files,
  };
}

/** Returns the view with items that are new, or stand in the place of older ones. */
export function withItems(view: ModelContext, items: StoredItem[]): ModelContext {
  let next: ModelContext = { ...view, items: [...view.items] };
  let hasMedia = false;
  for (const stored of items) {
    const index = next.items.findLastIndex(({ position }) => position <= stored.position);
    if (next.items[index]?.position === stored.position) next.items[index] = stored;
    else next.items.splice(index + 1, 0, stored);
    if (stored.modelOnly?.media !== undefined) hasMedia = true;
    const smaller = stored.modelOnly?.view;
    if (smaller !== undefined)
      next = {
        summary: undefined,
        ...smaller,
        items: next.items.filter(({ position }) => position > smaller.summarizedThrough),
      };
  }
  return hasMedia ? { ...next, items: withoutOldMedia(next.items) } : next;
}

/** Returns the items, of which only the newest have their media: the text of each result says what it had. */
function withoutOldMedia(items: StoredItem[]): StoredItem[] {
  let left = ATTACHMENTS_LENGTH;
  return items.toReversed().map(limit).toReversed();

  function limit(stored: StoredItem): StoredItem {
    if (stored.modelOnly?.media === undefined) return stored;
    left -= mediaLength(stored.modelOnly.media);
    if (left >= 0) return stored;
    const { media: _, ...modelOnly } = stored.modelOnly;
    return { ...stored, modelOnly };
  }
}
