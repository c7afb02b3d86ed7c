import type { CompletionMessage } from '@codelab/protocol';
import type { StoredItem } from '../store/store.ts';
import { type AttachmentsOf, estimateTokens, type ModelContext, toMessages } from './model-context.ts';

/** The context is compacted over this part of the window. */
const FULL = 0.8;
/** Compaction aims below this part of the window. */
const ROOMY = 0.6;
/** The newest items that fit into this part of the window are kept as they are. */
const KEPT = 0.25;

const INSTRUCTION = `The conversation is about to be cut here. Write the summary that you will go on from: what the person wants, in their own words where it matters; what was decided and why; what was done, with file names, commands and their outcome; what is left to do, and the next step. Leave out what nobody will need. Answer with the summary only.`;

export interface CompactOptions {
  view: ModelContext;
  attachments: AttachmentsOf;
  /** The size limit, in tokens as `estimateTokens` counts them. */
  window: number;
  /** True where the provider has refused the context as too long. */
  isForced: boolean;
  /** Asks the model for a summary. Returns undefined where that failed. */
  summarize(messages: CompletionMessage[]): Promise<string | undefined>;
}

/** True where the context needs no compaction. */
export function hasRoom({
  view,
  attachments,
  window,
}: Pick<CompactOptions, 'view' | 'attachments' | 'window'>): boolean {
  return estimateTokens(toMessages(view, attachments)) <= window * FULL;
}

/** Makes the context small enough: old results of tools are left out first, then old messages become a summary. Returns undefined where it is small enough. */
export async function compact(options: CompactOptions): Promise<ModelContext | undefined> {
  const { view, attachments, isForced } = options;
  const size = (smaller: ModelContext) => estimateTokens(toMessages(smaller, attachments));
  if (!isForced && hasRoom(options)) return undefined;
  const before = size(view);
  const window = isForced ? Math.min(options.window, before) : options.window;

  const keptFrom = cutBefore(view.items, window * KEPT);
  const last = view.items[keptFrom - 1]?.position ?? 0;
  const trimmed: ModelContext = { ...view, trimmedThrough: Math.max(view.trimmedThrough, last) };
  if (size(trimmed) <= window * ROOMY) return trimmed;
  if (keptFrom === 0) return size(trimmed) < before ? trimmed : undefined;

  const old: ModelContext = { ...trimmed, items: view.items.slice(0, keptFrom) };
  // The messages to summarise must fit as well: the oldest are left out.
  const all = toMessages(old, attachments).map(withoutMedia);
  const earlier = view.summary === undefined ? [] : all.splice(0, 1);
  let messages = all;
  while (messages.length > 2 && estimateTokens(messages) > window * FULL)
    messages = fromQuestion(messages.slice(Math.ceil(messages.length / 4)));
  const summary = await options.summarize([...earlier, ...messages, { role: 'user', content: INSTRUCTION }]);
  return {
    summary: summary ?? `${view.summary ?? ''}\n(What was said after that is too long to be shown.)`.trim(),
    summarizedThrough: last,
    trimmedThrough: trimmed.trimmedThrough,
    items: view.items.slice(keptFrom),
  };
}

/** Returns the index of the first of the newest items that have at most `tokens`; it begins a message, so that no call is parted from its result. */
function cutBefore(items: StoredItem[], tokens: number): number {
  let left = tokens;
  let cut = items.length;
  for (let index = items.length - 1; index >= 0; index--) {
    const { item } = items[index] as StoredItem;
    left -= estimateTokens([{ role: 'user', content: item.text + (item.toolCall?.result ?? '') }]);
    if (left < 0) break;
    const before = items[index - 1]?.item;
    const beginsMessage =
      item.kind === 'user_message' || before === undefined || before.runId !== item.runId || before.step !== item.step;
    if (beginsMessage) cut = index;
  }
  return cut;
}

function withoutMedia(message: CompletionMessage): CompletionMessage {
  if (!Array.isArray(message.content)) return message;
  return {
    ...message,
    content: message.content.map((part) =>
      part.type === 'text' ? part : { type: 'text', text: '[an image or file]' },
    ),
  } as CompletionMessage;
}

/** Drops the messages before the first one of a person. */
function fromQuestion(messages: CompletionMessage[]): CompletionMessage[] {
  const first = messages.findIndex(({ role }) => role === 'user');
  return first < 0 ? [] : messages.slice(first);
}
