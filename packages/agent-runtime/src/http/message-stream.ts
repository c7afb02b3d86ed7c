import {
  createLegacyFrames,
  isLastFrame,
  MessageStreamBody,
  newId,
  type SessionEvent,
  toErrorFrame,
} from '@codelab/protocol';
import {
  type Credentials,
  clientGone,
  type ServiceContext,
  type SseMessage,
  sendEventStream,
  toCodelabError,
  toValidationError,
} from '@codelab/service-kit';
import type { FastifyInstance } from 'fastify';
import type { createRouter } from '../router.ts';

export interface MessageStreamOptions {
  router: ReturnType<typeof createRouter>;
  makeContext: (credentials: Credentials, requestId: string) => ServiceContext;
}

/** `POST /agent/message/stream`: sends the message, then streams its answer. PROTOCOL.md §8. */
export function messageStreamRoute({ router, makeContext }: MessageStreamOptions) {
  return async (app: FastifyInstance) => {
    app.post('/agent/message/stream', async (request, reply) => {
      const context = makeContext(request, request.id);
      if (context.refusal !== undefined) throw context.refusal;
      const body = MessageStreamBody.safeParse(request.body);
      if (!body.success) throw toValidationError(body.error);
      const { session_id: sessionId, content } = body.data;
      const inputId = newId('in');
      const requestId = request.id;
      const caller = router.createCaller(context, { signal: clientGone(reply.raw) });
      const { eventId } = await caller.input.send({ sessionId, inputId, content, createSession: true, requestId });
      const events = await caller.session.events({ sessionId, lastEventId: eventId, requestId });
      reply.hijack();
      await sendEventStream(reply.raw, toMessages(events, inputId, requestId), {
        headers: { 'x-request-id': requestId },
      });
    });
  };
}

async function* toMessages(
  events: AsyncIterable<unknown>,
  inputId: string,
  requestId: string,
): AsyncGenerator<SseMessage> {
  const frames = createLegacyFrames({ inputId });
  try {
    read: for await (const [, event] of events as AsyncIterable<[string, SessionEvent]>) {
      for (const frame of frames.push(event)) {
        yield { data: frame };
        if (isLastFrame(frame)) break read;
      }
    }
  } catch (thrown) {
    yield { data: toErrorFrame(toCodelabError(thrown), requestId) };
  }
  yield { data: '[DONE]' };
}
