import {
  CodelabError,
  createLegacyFrames,
  isLastFrame,
  type LegacyFrame,
  type SessionEvent,
  toErrorFrame,
} from '@codelab/protocol';
import { toCodelabError } from './error-shape.ts';
import type { SseMessage } from './sse.ts';

/** What a caller's subscription yields, without the ids that tRPC's clients get. `T` is what the procedure tracks. */
export async function* untracked<T>(tracked: AsyncIterable<unknown>): AsyncGenerator<T> {
  for await (const [, value] of tracked as AsyncIterable<[string, T]>) yield value;
}

/** The frames of one input's answer, up to its end, each with the event that it came from. Throws `OVERLOADED` where the service stops before. */
export async function* answerFrames(
  events: AsyncIterable<SessionEvent>,
  inputId: string,
): AsyncGenerator<{ frame: LegacyFrame; event: SessionEvent }> {
  const frames = createLegacyFrames({ inputId });
  for await (const event of events) {
    for (const frame of frames.push(event)) {
      yield { frame, event };
      if (isLastFrame(frame)) return;
    }
  }
  throw new CodelabError(
    'OVERLOADED',
    'The service stops. The answer goes on when it is back: read it from the session.',
    {
      retryAfterMs: 1000,
    },
  );
}

/** One input's answer as the older event stream: its frames, or the failure as one, then `[DONE]`. PROTOCOL.md §8. */
export async function* answerMessages(
  events: AsyncIterable<SessionEvent>,
  inputId: string,
  requestId: string,
): AsyncGenerator<SseMessage> {
  try {
    for await (const { frame } of answerFrames(events, inputId)) yield { data: frame };
  } catch (thrown) {
    yield { data: toErrorFrame(toCodelabError(thrown), requestId) };
  }
  yield { data: '[DONE]' };
}
