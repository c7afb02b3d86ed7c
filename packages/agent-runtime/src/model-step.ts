import {
  addUsage,
  type CompletionChunk,
  createSurrogateJoiner,
  type FinishReason,
  type Item,
  type NewSessionEvent,
  newId,
  noUsage,
  type ThinkingBlock,
  type Usage,
  type WireError,
} from '@codelab/protocol';
import type { StoredItem } from './store/store.ts';

/** What one call of the model came to. */
export interface ModelStep {
  /** Which model answered, as far as it said. */
  model: string;
  usage: Usage;
  costUsd: number | undefined;
  /** Undefined where the answer broke off, by `error` or by cancellation. */
  finishReason: FinishReason | undefined;
  error: WireError | undefined;
  /** What was said, in order. Calls are still in progress, unless the answer broke off: then there are none. */
  items: StoredItem[];
}

export interface ModelStepOptions {
  runId: string;
  step: number;
  model: string;
  chunks: AsyncIterable<CompletionChunk>;
  /** The position of the next item. */
  nextPosition: () => number;
  emit: (event: NewSessionEvent) => void;
  /** Says which items there are that the store does not have yet. */
  onOpen: (stored: StoredItem) => void;
}

/** Reads one answer of the model: its chunks become items, whose `item.completed` is left to whoever stores them. Never throws. */
export async function readModelStep(options: ModelStepOptions): Promise<ModelStep> {
  const { runId, step: number, emit } = options;
  const step: ModelStep = {
    model: options.model,
    usage: noUsage,
    costUsd: undefined,
    finishReason: undefined,
    error: undefined,
    items: [],
  };
  const thinking: ThinkingBlock[] = [];
  /** The text or the reasoning that is being said. */
  let said: OpenItem | undefined;
  const calls = new Map<number, OpenItem>();

  const open = (kind: Item['kind'], toolCall?: Item['toolCall']): OpenItem => {
    const item: Item = {
      // Of a call it is the call's: results find it by that.
      itemId: toolCall?.callId ?? newId('item'),
      runId,
      step: number,
      kind,
      text: '',
      status: 'in_progress',
      createdAt: new Date(),
      ...(toolCall === undefined ? {} : { toolCall }),
    };
    const stored: StoredItem = { position: options.nextPosition(), item };
    step.items.push(stored);
    options.onOpen(stored);
    emit({ type: 'item.started', item: { ...item } });
    return { stored, joiner: createSurrogateJoiner() };
  };
  const add = ({ stored: { item } }: OpenItem, text: string) => {
    if (text === '') return;
    const offset = item.text.length;
    item.text += text;
    emit({ type: 'item.delta', itemId: item.itemId, text, offset });
  };
  /** It is whole; others are told when it is stored. */
  const close = (opened: OpenItem, status: 'completed' | 'incomplete') => {
    add(opened, opened.joiner.flush());
    opened.stored.item.status = status;
  };

  for await (const chunk of options.chunks) {
    switch (chunk.type) {
      case 'start':
        step.model = chunk.model;
        break;
      case 'text':
      case 'reasoning': {
        const kind = chunk.type === 'text' ? 'assistant_message' : 'reasoning';
        if (said !== undefined && said.stored.item.kind !== kind) {
          close(said, 'completed');
          said = undefined;
        }
        said ??= open(kind);
        add(said, said.joiner.push(chunk.text));
        break;
      }
      case 'thinking':
        thinking.push(chunk.block);
        break;
      case 'tool_call': {
        let call = calls.get(chunk.index);
        if (call === undefined) {
          if (said !== undefined) close(said, 'completed');
          said = undefined;
          call = open('tool_call', { callId: newId('call'), name: chunk.name ?? '' });
          calls.set(chunk.index, call);
        }
        add(call, call.joiner.push(chunk.arguments));
        break;
      }
      case 'usage':
        step.usage = addUsage(step.usage, chunk.usage);
        if (chunk.costUsd !== undefined) step.costUsd = (step.costUsd ?? 0) + chunk.costUsd;
        break;
      case 'finish':
        step.finishReason = chunk.finishReason;
        break;
      case 'error':
        step.error = chunk.error as WireError;
    }
  }
  const isWhole = step.finishReason !== undefined;
  if (said !== undefined) close(said, isWhole ? 'completed' : 'incomplete');
  for (const call of calls.values()) {
    if (isWhole) add(call, call.joiner.flush());
    else {
      // Half a call can't be made, nor shown to a model.
      call.stored.item.toolCall = {
        ...(call.stored.item.toolCall as NonNullable<Item['toolCall']>),
        outcome: 'cancelled',
        result: 'The call was cut off before it was whole, and was not made.',
      };
      close(call, 'incomplete');
    }
  }
  const first = step.items[0];
  if (first !== undefined && thinking.length > 0 && isWhole) first.hidden = { thinking };
  return step;
}

interface OpenItem {
  stored: StoredItem;
  joiner: ReturnType<typeof createSurrogateJoiner>;
}
