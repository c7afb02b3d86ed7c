import { CodelabError, toWireError, type WireError } from '@codelab/protocol';
import type { ModelStep } from './model-step.ts';
import type { OpenCall } from './tool-calls.ts';

/** The same calls so often in a row are refused, */
const REFUSED_AT = 4;
/** and end the run. */
const STOPPED_AT = 7;

/** How a run ended. */
export interface RunEnd {
  status: 'completed' | 'cancelled' | 'failed' | 'limit';
  /** The last step, where it is not stored yet: it is stored with the end. */
  step?: ModelStep;
  error?: WireError;
  /** For the person: why it went no further. */
  notice?: string;
}

/** What the agent can do. Each is stored before it is shown. */
export interface RunSteps {
  readonly signal: AbortSignal;
  readonly maxSteps: number;
  /** How many are stored. */
  readonly steps: number;
  readonly requestId: string;
  /** Takes in what was sent for this run meanwhile. */
  deliverSteers(): Promise<void>;
  hasSteers(): boolean;
  askModel(): Promise<ModelStep>;
  /** Stores the step; its calls are prepared, and all made where `refusal` does not say why not. */
  keepStep(step: ModelStep, refusal: string | undefined): Promise<OpenCall[]>;
  /** Resolves when each call has its result. */
  makeCalls(calls: OpenCall[]): Promise<void>;
}

/** The agent: a step, its calls, the next step. `unfinished` are the calls of a step that an earlier process has stored. */
export async function runLoop(run: RunSteps, unfinished: OpenCall[]): Promise<RunEnd> {
  const repetitions = createRepetitionGuard();
  await run.makeCalls(unfinished);
  for (;;) {
    if (run.signal.aborted) return { status: 'cancelled' };
    await run.deliverSteers();
    if (run.steps >= run.maxSteps)
      return { status: 'limit', notice: `Stopped after ${run.steps} steps. Send a message to go on.` };

    const step = await run.askModel();
    if (step.error !== undefined) return { status: 'failed', step, error: step.error };
    if (step.finishReason === undefined) return { status: 'cancelled', step };

    const hasCalls = step.items.some(({ item }) => item.kind === 'tool_call');
    if (!hasCalls && step.finishReason === 'content_filter')
      return { status: 'failed', step, error: toWireError(new CodelabError('CONTENT_FILTERED'), run.requestId) };
    if (!hasCalls && !run.hasSteers()) return { status: step.finishReason === 'length' ? 'limit' : 'completed', step };

    const times = hasCalls ? repetitions.count(step) : 0;
    if (times >= STOPPED_AT)
      return { status: 'limit', step, notice: `Stopped: the model made the same call ${times} times in a row.` };
    const refusal =
      times >= REFUSED_AT
        ? `This very call was made ${times - 1} times in a row, and its result is above. Do something else, or tell the person what is in the way.`
        : undefined;
    await run.makeCalls(await run.keepStep(step, refusal));
  }
}

/** Counts how often the model makes the same calls in a row. */
function createRepetitionGuard() {
  let last = '';
  let times = 0;
  return {
    count({ items }: ModelStep): number {
      const calls = items.flatMap(({ item }) => (item.kind === 'tool_call' ? [[item.toolCall?.name, item.text]] : []));
      const now = JSON.stringify(calls);
      times = now === last ? times + 1 : 1;
      last = now;
      return times;
    },
  };
}
