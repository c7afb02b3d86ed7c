import {
  createLegacyFrames,
  fromWireError,
  isLastFrame,
  type LegacyFrame,
  MessageBody,
  newId,
  noUsage,
  type SessionEvent,
  toErrorFrame,
  type Usage,
} from '@codelab/protocol';
import { clientGone, type SseMessage, sendEventStream, toCodelabError, toValidationError } from '@codelab/service-kit';
import type { FastifyInstance } from 'fastify';
import { toInputId } from '../input-id.ts';
import type { RouteOptions } from './rest.ts';

/** `POST /api/v1/message`: sends a message and answers with the agent's, whole or as a stream. PROTOCOL.md §8. */
export function messageRoute({ router, makeContext }: RouteOptions) {
  return async (app: FastifyInstance) => {
    app.post('/api/v1/message', async (request, reply) => {
      const context = makeContext(request, request.id);
      if (context.refusal !== undefined) throw context.refusal;
      const body = MessageBody.safeParse(request.body);
      if (!body.success) throw toValidationError(body.error);
      const { session_id: sessionId, message, content, message_id: messageId, stream } = body.data;
      const inputId = messageId === undefined ? newId('in') : toInputId(sessionId, messageId);
      const requestId = request.id;
      const caller = router.createCaller(context, { signal: clientGone(reply.raw) });
      const { eventId } = await caller.input.send({
        sessionId,
        inputId,
        content: message ?? content ?? '',
        createSession: true,
        requestId,
      });
      const events = unwrap(await caller.session.events({ sessionId, lastEventId: eventId, requestId }));

      if (stream || request.headers.accept?.includes('text/event-stream')) {
        reply.hijack();
        await sendEventStream(reply.raw, toMessages(answer(events, inputId), requestId), {
          headers: { 'x-request-id': requestId },
        });
        return;
      }
      let text = '';
      let run = { runId: '', usage: noUsage as Usage };
      for await (const { frame, event } of answer(events, inputId)) {
        if (frame.type === 'error')
          throw fromWireError({ ...frame, message: frame.content }) ?? new Error('an error frame without a code');
        text += frame.token;
        if (event.type === 'run.finished') run = event;
      }
      return {
        session_id: sessionId,
        message_id: messageId ?? inputId,
        run_id: run.runId,
        message: text,
        usage: run.usage,
      };
    });
  };
}

/** The frames of one input's answer, up to its end. */
async function* answer(
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
}

async function* toMessages(
  frames: AsyncIterable<{ frame: LegacyFrame }>,
  requestId: string,
): AsyncGenerator<SseMessage> {
  try {
    for await (const { frame } of frames) yield { data: frame };
  } catch (thrown) {
    yield { data: toErrorFrame(toCodelabError(thrown), requestId) };
  }
  yield { data: '[DONE]' };
}

/** The events without the envelope that tRPC's clients get. */
async function* unwrap(tracked: AsyncIterable<unknown>): AsyncGenerator<SessionEvent> {
  for await (const [, event] of tracked as AsyncIterable<[string, SessionEvent]>) yield event;
}
