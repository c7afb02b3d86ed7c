import type { CompletionMessage } from '@codelab/protocol';
import type { StoredItem } from '../store/store.ts';
import { type AttachmentsOf, estimateTokens, type ModelContext, toMessages } from './model-context.ts';

/** The context is compacted over this part of the window. */
const FULL = 0.8;
/** Compaction aims below this part of the window. */
const ROOMY = 0.6;
/** The newest items that fit into this part of the window are kept as they are. */
const KEPT = 0.25;

/** A compaction is worth its price, and worth repeating, from this part of the window on: what it gains, what was added since. */
const WORTHWHILE = 0.1;

const INSTRUCTION = `The conversation is about to be cut here. Write the summary that you will go on from, under these headings:
Wanted: what the person wants, in their own words where it matters, with every rule they have given.
Decided: what was decided, and why. It will not be decided again.
Done: what was done, with file names, commands and their outcome.
Next: the very next step, then what is left after it.
The plan is kept word for word: do not repeat it. Leave out what nobody will need. Answer with the summary only.`;

export interface CompactOptions {
  view: ModelContext;
  attachments: AttachmentsOf;
  /** The size limit, in tokens as `estimateTokens` counts them. */
  window: number;
  /** The size at which a compaction was last tried, and gained nothing; undefined: never. */
  triedAt?: number | undefined;
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

/**
 * Makes the context small enough: old results of tools are left out first, then old messages become a summary. Returns undefined where it is
 * small enough, and where nothing is gained: where too little was added since the last compaction, where too little is old.
 */
export async function compact(options: CompactOptions): Promise<ModelContext | undefined> {
  const { view, attachments, isForced } = options;
  const size = (smaller: ModelContext) => estimateTokens(toMessages(smaller, attachments));
  if (!isForced && hasRoom(options)) return undefined;
  const before = size(view);
  const settledAt = Math.max(lastSize(view), options.triedAt ?? 0);
  if (!isForced && before < settledAt + options.window * WORTHWHILE) return undefined;
  const window = isForced ? Math.min(options.window, before) : options.window;

  const keptFrom = cutBefore(view.items, window * KEPT);
  const last = view.items[keptFrom - 1]?.position ?? 0;
  const trimmed: ModelContext = { ...view, trimmedThrough: Math.max(view.trimmedThrough, last) };
  if (size(trimmed) <= window * ROOMY) return trimmed;
  const old: ModelContext = { ...trimmed, items: view.items.slice(0, keptFrom) };
  const gained = isForced ? 0 : options.window * WORTHWHILE;
  const isWorthwhile = (smaller: ModelContext) => size(smaller) < before - gained;
  if (keptFrom === 0 || !isWorthwhile({ ...trimmed, items: view.items.slice(keptFrom), summary: undefined }))
    return isWorthwhile(trimmed) ? trimmed : undefined;

  // The messages to summarise must fit as well: the oldest are left out.
  const all = toMessages(old, attachments).map(withoutMedia);
  const earlier = view.summary === undefined ? [] : all.splice(0, 1);
  let messages = all;
  while (messages.length > 2 && estimateTokens(messages) > window * FULL)
    messages = fromQuestion(messages.slice(Math.ceil(messages.length / 4)));
  const summary = await options.summarize([...earlier, ...messages, { role: 'user', content: INSTRUCTION }]);
  const kept = view.items.slice(keptFrom);
  const said =
    summary ?? `${withoutPlan(view.summary ?? '')}\n(What was said after that is too long to be shown.)`.trim();
  const smaller: ModelContext = {
    summary: [said, ...planOf(view, kept)].join('\n\n'),
    summarizedThrough: last,
    trimmedThrough: trimmed.trimmedThrough,
    items: kept,
  };
  return size(smaller) < before ? smaller : undefined;
}

/** Returns the size that the last compaction left; 0 if there was none. */
function lastSize({ items }: ModelContext): number {
  return items.findLast(({ item }) => item.compaction !== undefined)?.item.compaction?.tokensAfter ?? 0;
}

const PLAN = /\n*<plan>[\s\S]*<\/plan>/;

/** Returns the plan, word for word; none where the model still sees the call that it wrote it with. */
function planOf({ items, summary = '' }: ModelContext, kept: StoredItem[]): string[] {
  if (kept.some(({ item }) => item.toolCall?.name === 'plan')) return [];
  const plan = items.findLast(({ item }) => item.plan !== undefined)?.item.plan;
  if (plan === undefined) return PLAN.exec(summary)?.map((text) => text.trim()) ?? [];
  return [`<plan>\n${plan.map(({ text, status }) => `- [${status}] ${text}`).join('\n')}\n</plan>`];
}

function withoutPlan(summary: string): string {
  return summary.replace(PLAN, '');
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
