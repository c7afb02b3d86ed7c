import {
  CodelabError,
  createAnswer,
  createLegacyFrames,
  fromWireError,
  type History,
  type Item,
  isLastFrame,
  type LegacyFrame,
  mendEvents,
  retry,
  type SessionEvent,
  toErrorFrame,
} from '@codelab/protocol';
import { toCodelabError } from './error-shape.ts';
import type { SseMessage } from './sse.ts';

/** Milliseconds that agent-runtime may be out of reach, as for events. */
const LOST_AFTER_MS = 30_000;
const ASK_AGAIN_MS = 200;

/** Yields the values of a caller's subscription, without the ids that tRPC's clients get. `T` is what the procedure tracks. */
export async function* untracked<T>(tracked: AsyncIterable<unknown>): AsyncGenerator<T> {
  for await (const [, value] of tracked as AsyncIterable<[string, T]>) yield value;
}

/** The procedures of a router's caller that read a session's history. */
export interface HistoryCaller {
  session: {
    items(input: {
      sessionId: string;
      cursor?: string;
      limit: number;
    }): Promise<{ items: Item[]; nextCursor?: string }>;
  };
  run: { get(input: { sessionId: string; runId: string }): ReturnType<History['run']> };
  input: { get(input: { sessionId: string; inputId: string }): ReturnType<History['input']> };
}

/** Reads a session's history, and tries again while agent-runtime is out of reach, for up to 30 s. */
export function historyOf(caller: HistoryCaller, sessionId: string): History {
  return {
    items: (cursor) =>
      patiently(() => caller.session.items({ sessionId, limit: 200, ...(cursor === undefined ? {} : { cursor }) })),
    run: (runId) => patiently(() => caller.run.get({ sessionId, runId })),
    input: (inputId) => patiently(() => caller.input.get({ sessionId, inputId })),
  };
}

function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const until = Date.now() + LOST_AFTER_MS;
  const isWorthIt = (error: unknown) => toCodelabError(error).code === 'OVERLOADED' && Date.now() <= until;
  return retry(ask, { delayMs: (error) => (isWorthIt(error) ? ASK_AGAIN_MS : undefined) });
}

/** An input, and the sources of its answer. */
export interface AnswerOptions {
  events: AsyncIterable<SessionEvent>;
  history: History;
  inputId: string;
}

/** The answer to one input, as far as it has come. */
export interface Answer {
  text(): string;
  /** Resolves with the run's end. Throws its error, or `OVERLOADED` where the service stops before. */
  finished: Promise<Extract<SessionEvent, { type: 'run.finished' }>>;
}

/** Reads the answer to one input. */
export function readAnswer({ events, history, inputId }: AnswerOptions): Answer {
  const answer = createAnswer(inputId);
  const read = async () => {
    for await (const event of mendEvents(events, history, inputId)) {
      if (!answer.push(event)) continue;
      if (event.type === 'input.cancelled')
        throw new CodelabError('NOT_FOUND', 'The message was cancelled before the agent got it.');
      if (event.type !== 'run.finished') continue;
      const error = fromWireError(event.error);
      if (error !== undefined) throw error;
      return event;
    }
    throw stopped();
  };
  return { text: answer.text, finished: read() };
}

/** Yields the frames of one input's answer, up to its end. Throws `OVERLOADED` where the service stops before. */
async function* answerFrames({ events, history, inputId }: AnswerOptions): AsyncGenerator<LegacyFrame> {
  const frames = createLegacyFrames({ inputId });
  for await (const event of mendEvents(events, history, inputId)) {
    for (const frame of frames.push(event)) {
      yield frame;
      if (isLastFrame(frame)) return;
    }
  }
  throw stopped();
}

function stopped(): CodelabError {
  return new CodelabError(
    'OVERLOADED',
    'The service stops. The answer goes on when it is back: read it from the session.',
    { retryAfterMs: 1000 },
  );
}

/** Yields one input's answer as the older event stream: its frames, or the failure as one, then `[DONE]`. PROTOCOL.md §8. */
export async function* answerMessages(answer: AnswerOptions, requestId: string): AsyncGenerator<SseMessage> {
  try {
    for await (const frame of answerFrames(answer)) yield { data: frame };
  } catch (thrown) {
    yield { data: toErrorFrame(toCodelabError(thrown), requestId) };
  }
  yield { data: '[DONE]' };
}
