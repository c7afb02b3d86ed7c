import {
  addUsage,
  createSurrogateJoiner,
  type FinishReason,
  type Item,
  noUsage,
  type SignedThinkingBlock,
  type Usage,
  type WireError,
} from '@codelab/protocol';
import type { LiveStep } from '../events/live-step.ts';
import type { LlmAnswer } from './llm-client.ts';

/** One answer of the model. */
export interface ModelStep {
  /** The model that answered, by its own name where it gives one. */
  model: string;
  usage: Usage;
  costUsd: number | undefined;
  /** Undefined where the answer broke off: by `error`, or by cancellation. */
  finishReason: FinishReason | undefined;
  error: WireError | undefined;
  /** In the order of their beginnings. Calls are in progress, unless the answer broke off or was cut off: then they are not made. */
  items: Item[];
  /** Anthropic's wire wants it back. */
  thinking: SignedThinkingBlock[];
}

export interface AccumulateStepOptions {
  model: string;
  answer: Pick<LlmAnswer, 'each'>;
  live: LiveStep;
}

/** Reads one answer of the model into `live`. Never throws. */
export async function accumulateStep({ model, answer, live }: AccumulateStepOptions): Promise<ModelStep> {
  const step: ModelStep = {
    model,
    usage: noUsage,
    costUsd: undefined,
    finishReason: undefined,
    error: undefined,
    items: [],
    thinking: [],
  };
  /** The text or the reasoning that is being streamed. */
  let current: (Writing & { kind: Item['kind'] }) | undefined;
  const calls = new Map<number, Writing>();
  const open = (kind: Item['kind'], name?: string): Writing => ({
    index: live.open(kind, name === undefined ? {} : { name }),
    joiner: createSurrogateJoiner(),
  });
  const close = ({ index, joiner }: Writing) => {
    live.add(index, joiner.flush());
    live.seal(index);
  };
  const closeCurrent = () => {
    if (current !== undefined) close(current);
    current = undefined;
  };

  await answer.each((chunk) => {
    switch (chunk.type) {
      case 'start':
        step.model = chunk.model;
        break;
      case 'text':
      case 'reasoning': {
        const kind = chunk.type === 'text' ? 'assistant_message' : 'reasoning';
        if (current?.kind !== kind) closeCurrent();
        current ??= { ...open(kind), kind };
        live.add(current.index, current.joiner.push(chunk.text));
        break;
      }
      case 'thinking':
        step.thinking.push(chunk.signedBy === undefined ? chunk.block : { ...chunk.block, signed_by: chunk.signedBy });
        break;
      case 'tool_call': {
        let call = calls.get(chunk.index);
        if (call === undefined) {
          closeCurrent();
          call = open('tool_call', chunk.name ?? '');
          calls.set(chunk.index, call);
        }
        live.add(call.index, call.joiner.push(chunk.arguments));
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
        step.error = chunk.error;
    }
  });
  const last = current?.index;
  closeCurrent();
  for (const call of calls.values()) close(call);
  const isWhole = step.finishReason !== undefined;
  if (!isWhole) step.thinking = [];
  step.items = live.items.map((_, index) => finishItem(live.itemOf(index), step.finishReason, index === last));
  return step;
}

interface Writing {
  index: number;
  joiner: ReturnType<typeof createSurrogateJoiner>;
}

/** Settles an item at the end of the answer. */
function finishItem(item: Item, reason: FinishReason | undefined, isLast: boolean): Item {
  const isWhole = reason !== undefined;
  if (item.toolCall === undefined) return { ...item, status: isWhole || !isLast ? 'completed' : 'incomplete' };
  if (reason === 'stop' || reason === 'tool_calls') return item;
  // It is not known which calls are complete, so none is made.
  return {
    ...item,
    status: 'incomplete',
    toolCall: { ...item.toolCall, outcome: 'cancelled', result: CUT_OFF[reason ?? 'broken'] },
  };
}

const CUT_OFF = {
  broken: 'The call was cut off before it was whole, and was not made.',
  length: 'The answer was too long, and was cut off: this call was not made. Make smaller ones, one at a time.',
  content_filter: 'The provider broke the answer off: this call was not made.',
} as const;
