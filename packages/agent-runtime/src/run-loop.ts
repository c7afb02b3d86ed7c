import {
  addUsage,
  CodelabError,
  type CompletionMessage,
  createSurrogateJoiner,
  type FinishReason,
  type Item,
  type NewSessionEvent,
  newId,
  noUsage,
  toWireError,
  type Usage,
  type WireError,
} from '@codelab/protocol';
import type { Llm } from './llm.ts';

export interface RunOptions {
  runId: string;
  model: string;
  /** The conversation so far, the new input included. */
  messages: CompletionMessage[];
  llm: Llm;
  signal: AbortSignal;
  requestId: string;
}

type RunEvent = Extract<
  NewSessionEvent,
  { type: 'step.started' | 'step.finished' | 'item.started' | 'item.delta' | 'item.completed' | 'run.finished' }
>;

/** The agent. Yields what happens, `run.finished` once and last. */
export async function* runLoop(options: RunOptions): AsyncGenerator<RunEvent, void, undefined> {
  const { runId, model, signal, requestId } = options;
  yield { type: 'step.started', runId, model };
  const step: Step = { model, usage: noUsage, finishReason: undefined, error: undefined };
  yield* streamStep(options, step);

  const { usage, error } = step;
  const finishReason = step.finishReason ?? (signal.aborted ? 'cancelled' : 'error');
  yield { type: 'step.finished', runId, model: step.model, usage, finishReason };
  if (step.finishReason === undefined && signal.aborted)
    yield { type: 'run.finished', runId, status: 'cancelled', usage };
  else if (error !== undefined) yield { type: 'run.finished', runId, status: 'failed', usage, error };
  else if (finishReason === 'tool_calls')
    yield { type: 'run.finished', runId, status: 'failed', usage, error: unknownTool(requestId) };
  else yield { type: 'run.finished', runId, status: finishReason === 'length' ? 'limit' : 'completed', usage };
}

/** What one call of the model came to. */
interface Step {
  model: string;
  usage: Usage;
  finishReason: FinishReason | undefined;
  error: WireError | undefined;
}

/** One call of the model: its chunks become items. The outcome is written to `step`. */
async function* streamStep(
  { runId, model, messages, llm, signal, requestId }: RunOptions,
  step: Step,
): AsyncGenerator<RunEvent, void, undefined> {
  let open: OpenItem | undefined;
  for await (const chunk of llm.stream({ model, messages }, { signal, requestId })) {
    switch (chunk.type) {
      case 'start':
        step.model = chunk.model;
        break;
      case 'text':
      case 'reasoning': {
        const kind = chunk.type === 'text' ? 'assistant_message' : 'reasoning';
        if (open !== undefined && open.item.kind !== kind) {
          yield* open.close('completed');
          open = undefined;
        }
        if (open === undefined) {
          open = openItem(runId, kind);
          yield { type: 'item.started', item: { ...open.item } };
        }
        yield* open.append(chunk.text);
        break;
      }
      case 'usage':
        step.usage = addUsage(step.usage, chunk.usage);
        break;
      case 'finish':
        step.finishReason = chunk.finishReason;
        break;
      case 'error':
        step.error = chunk.error as WireError;
    }
  }
  if (open !== undefined) yield* open.close(step.finishReason === undefined ? 'incomplete' : 'completed');
}

interface OpenItem {
  item: Item;
  append(text: string): Generator<RunEvent>;
  close(status: 'completed' | 'incomplete'): Generator<RunEvent>;
}

function openItem(runId: string, kind: 'assistant_message' | 'reasoning'): OpenItem {
  const item: Item = { itemId: newId('item'), runId, kind, text: '', status: 'in_progress', createdAt: new Date() };
  const joiner = createSurrogateJoiner();
  function* add(text: string): Generator<RunEvent> {
    if (text === '') return;
    const offset = item.text.length;
    item.text += text;
    yield { type: 'item.delta', itemId: item.itemId, text, offset };
  }
  return {
    item,
    append: (text) => add(joiner.push(text)),
    *close(status) {
      yield* add(joiner.flush());
      item.status = status;
      yield { type: 'item.completed', item: { ...item } };
    },
  };
}

function unknownTool(requestId: string): WireError {
  return toWireError(new CodelabError('VALIDATION', 'The model called a tool, and this session has none.'), requestId);
}
