import {
  type Attachment,
  type CompletionMessage,
  estimateTextTokens,
  IMAGE_TOKENS,
  type Item,
} from '@codelab/protocol';
import { jsonDepthExceeds, MAX_JSON_DEPTH } from '@codelab/service-kit';
import type { StoredItem } from '../store/store.ts';

/** Tokens of a message beside its texts. */
const MESSAGE_TOKENS = 4;

/** The conversation as the model is given it. */
export interface ModelContext {
  /** The summary of everything before `items`, where the history was compacted. */
  summary: string | undefined;
  /** The position up to which the summary covers the history. */
  summarizedThrough: number;
  /** The position up to which long results are left out. */
  trimmedThrough: number;
  items: StoredItem[];
}

/** Finds the attachments of a message. */
export type AttachmentsOf = (
  message: Partial<Record<'runId' | 'inputId', string | undefined>>,
) => Attachment[] | undefined;

type Role<R extends CompletionMessage['role']> = Extract<CompletionMessage, { role: R }>;

/**
 * Converts the context to messages that are valid on every provider's wire: a step is one message, and each of its calls has its result right
 * after it.
 */
export function toMessages(view: ModelContext, attachments: AttachmentsOf): CompletionMessage[] {
  const messages: CompletionMessage[] = [];
  if (view.summary !== undefined)
    messages.push({
      role: 'user',
      content: `<summary of="the conversation so far">\n${view.summary}\n</summary>\nWhat was decided stays decided. Go on with the next step.`,
    });
  // A signature covers all that was said before it: from where that has changed, what was thought is not given back.
  const changedAt =
    view.items.findLast(({ item: { kind } }) => kind === 'compaction' || kind === 'agent_switch')?.position ?? 0;
  let step: StoredItem[] = [];
  const flush = () => {
    messages.push(...toStepMessages(step, view.trimmedThrough, changedAt));
    step = [];
  };
  for (const stored of view.items) {
    const { item } = stored;
    switch (item.kind) {
      case 'assistant_message':
      case 'reasoning':
      case 'tool_call': {
        const before = step[0]?.item;
        if (before !== undefined && (before.runId !== item.runId || before.step !== item.step)) flush();
        step.push(stored);
        break;
      }
      case 'user_message':
        flush();
        messages.push({ role: 'user', content: toContent(item, attachments(item)) });
    }
  }
  flush();
  return messages;
}

function toStepMessages(step: StoredItem[], trimmedThrough: number, changedAt: number): CompletionMessage[] {
  const text = step
    .flatMap(({ item }) => (item.kind === 'assistant_message' ? item.text : []))
    .join('')
    .toWellFormed();
  const calls = step.filter(({ item }) => item.kind === 'tool_call');
  if (text === '' && calls.length === 0) return [];
  const thinking = step.flatMap(({ position, modelOnly }) => (position > changedAt ? (modelOnly?.thinking ?? []) : []));
  const assistant: Role<'assistant'> = {
    role: 'assistant',
    content: text === '' ? null : text,
    ...(thinking.length > 0 ? { thinking_blocks: thinking } : {}),
    ...(calls.length > 0 ? { tool_calls: calls.map(toToolCall) } : {}),
  };
  return [
    assistant,
    ...calls.map(
      (call): Role<'tool'> => ({
        role: 'tool',
        tool_call_id: call.item.toolCall?.callId ?? '',
        content: toResult(call, trimmedThrough),
      }),
    ),
  ];
}

function toToolCall({ item }: StoredItem) {
  const { callId = '', name = '', arguments: args } = item.toolCall ?? {};
  return {
    id: callId,
    type: 'function' as const,
    function: { name: toToolName(name), arguments: JSON.stringify(args ?? parseArguments(item.text)) },
  };
}

/** Makes an invented name valid for providers, which would refuse the conversation. The call's result quotes the original name. */
function toToolName(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64) || 'unnamed';
}

/** Parses arguments; wraps invalid ones in an object as text: providers take nothing but objects. */
function parseArguments(text: string): object {
  try {
    if (jsonDepthExceeds(text, MAX_JSON_DEPTH)) return { not_json: text.slice(0, 2000).toWellFormed() };
    const value: unknown = JSON.parse(text === '' ? '{}' : text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {}
  return { not_json: text.slice(0, 2000).toWellFormed() };
}

function toResult({ item, position, modelOnly }: StoredItem, trimmedThrough: number): Role<'tool'>['content'] {
  const result = item.toolCall?.result;
  if (result === undefined) return 'There is no result: the call was cut off.';
  const media = position > trimmedThrough ? (modelOnly?.media ?? []) : [];
  if (media.length > 0) return [{ type: 'text', text: result }, ...media.map(toPart)];
  if (position > trimmedThrough || result.length <= TRIMMED_LENGTH) return result;
  const { resultId } = item.toolCall ?? {};
  const more = resultId === undefined ? '' : ` read_result has it as "${resultId}".`;
  return `[An older result of ${result.length} characters was left out.${more}]`;
}

/** Results up to this length are never left out. UTF-16 code units. */
const TRIMMED_LENGTH = 400;

function toContent(item: Item, attachments: Attachment[] | undefined): Role<'user'>['content'] {
  const text = item.text.toWellFormed();
  if (item.attachments === undefined) return text;
  if (attachments === undefined)
    return `${text}\n[No longer shown: ${item.attachments.map(({ name }) => name).join(', ')}]`;
  return [{ type: 'text', text }, ...attachments.map(toPart)];
}

function toPart({ name, mimeType, data, text }: Attachment) {
  if (data === undefined) return { type: 'text' as const, text: `<file name="${name}">\n${text}\n</file>` };
  const url = `data:${mimeType};base64,${data}`;
  return mimeType === 'application/pdf'
    ? { type: 'file', file: { filename: name, file_data: url } }
    : { type: 'image_url', image_url: { url } };
}

/** Estimates the tokens of messages. */
export function estimateTokens(messages: CompletionMessage[]): number {
  let tokens = messages.length * MESSAGE_TOKENS;
  const count = (value: unknown): void => {
    if (typeof value === 'string') tokens += value.startsWith('data:') ? IMAGE_TOKENS : estimateTextTokens(value);
    else if (Array.isArray(value)) value.forEach(count);
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(count);
  };
  messages.forEach(count);
  return Math.ceil(tokens);
}
