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

/** The conversation as the model sees it. */
export interface ModelContext {
  /** What stands for all before `items`, where the history was compacted. */
  summary: string | undefined;
  /** The newest position that the summary stands for. */
  upTo: number;
  /** Results up to this position are left out. */
  trimmedUpTo: number;
  items: StoredItem[];
}

/** What a message brought with it. */
export type AttachmentsOf = (
  message: Partial<Record<'runId' | 'inputId', string | undefined>>,
) => Attachment[] | undefined;

type Role<R extends CompletionMessage['role']> = Extract<CompletionMessage, { role: R }>;

/**
 * The conversation as the model is given it, valid on every provider's wire: what one step said is one message, and each of its calls has its
 * result right after it.
 */
export function toMessages(view: ModelContext, attachments: AttachmentsOf): CompletionMessage[] {
  const messages: CompletionMessage[] = [];
  if (view.summary !== undefined)
    messages.push({ role: 'user', content: `<summary of="the conversation so far">\n${view.summary}\n</summary>` });
  let step: StoredItem[] = [];
  const flush = () => {
    messages.push(...toStepMessages(step, view.trimmedUpTo));
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

function toStepMessages(step: StoredItem[], trimmedUpTo: number): CompletionMessage[] {
  const said = step.flatMap(({ item }) => (item.kind === 'assistant_message' ? item.text : [])).join('');
  const text = said.toWellFormed();
  const calls = step.filter(({ item }) => item.kind === 'tool_call');
  if (text === '' && calls.length === 0) return [];
  const thinking = step.flatMap(({ modelOnly: hidden }) => hidden?.thinking ?? []);
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
        content: toResult(call, trimmedUpTo),
      }),
    ),
  ];
}

function toToolCall({ item }: StoredItem) {
  const { callId = '', name = '', arguments: args } = item.toolCall ?? {};
  return {
    id: callId,
    type: 'function' as const,
    function: { name: toToolName(name), arguments: JSON.stringify(args ?? parsed(item.text)) },
  };
}

/** Providers refuse a conversation with the names that models make up; the call's result has it as it was. */
function toToolName(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64) || 'unnamed';
}

/** What could not be parsed, or passed on, is shown to the model as what it was: providers take nothing but objects. */
function parsed(text: string): object {
  try {
    if (jsonDepthExceeds(text, MAX_JSON_DEPTH)) return { not_json: text.slice(0, 2000).toWellFormed() };
    const value: unknown = JSON.parse(text === '' ? '{}' : text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {}
  return { not_json: text.slice(0, 2000).toWellFormed() };
}

function toResult({ item, position }: StoredItem, trimmedUpTo: number): string {
  const result = item.toolCall?.result;
  if (result === undefined) return 'There is no result: the call was cut off.';
  if (position > trimmedUpTo || result.length <= TRIMMED_LENGTH) return result;
  const { resultId } = item.toolCall ?? {};
  const more = resultId === undefined ? '' : ` read_result has it as "${resultId}".`;
  return `[An older result of ${result.length} characters was left out.${more}]`;
}

/** Shorter results are not worth being left out. */
const TRIMMED_LENGTH = 400;

function toContent(item: Item, attachments: Attachment[] | undefined): Role<'user'>['content'] {
  const text = item.text.toWellFormed();
  if (item.attachments === undefined) return text;
  if (attachments === undefined)
    return `${text}\n[No longer shown: ${item.attachments.map(({ name }) => name).join(', ')}]`;
  return [
    { type: 'text', text },
    ...attachments.map(({ name, mimeType, data, text: content }) => {
      if (data === undefined) return { type: 'text' as const, text: `<file name="${name}">\n${content}\n</file>` };
      const url = `data:${mimeType};base64,${data}`;
      return mimeType === 'application/pdf'
        ? { type: 'file', file: { filename: name, file_data: url } }
        : { type: 'image_url', image_url: { url } };
    }),
  ];
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
