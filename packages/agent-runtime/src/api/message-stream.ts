import { MessageStreamBody, newId, type SessionEvent } from '@codelab/protocol';
import {
  answerMessages,
  type Credentials,
  clientGone,
  historyOf,
  type ServiceContext,
  sendEventStream,
  toInputId,
  toValidationError,
  untracked,
} from '@codelab/service-kit';
import type { FastifyInstance } from 'fastify';
import type { createRouter } from './router.ts';

export interface MessageStreamOptions {
  router: ReturnType<typeof createRouter>;
  makeContext: (credentials: Credentials, requestId: string) => ServiceContext;
}

/** Serves `POST /agent/message/stream`: sends the message, then streams its answer. PROTOCOL.md §8. */
export function messageStreamRoute({ router, makeContext }: MessageStreamOptions) {
  return async (app: FastifyInstance) => {
    app.post('/agent/message/stream', async (request, reply) => {
      const context = makeContext(request, request.id);
      if (context.refusal !== undefined) throw context.refusal;
      const body = MessageStreamBody.safeParse(request.body);
      if (!body.success) throw toValidationError(body.error);
      const { session_id: sessionId, content, message_id: messageId } = body.data;
      const inputId = messageId === undefined ? newId('in') : toInputId(sessionId, messageId);
      const requestId = request.id;
      const caller = router.createCaller(context, { signal: clientGone(reply.raw) });
      const { eventId } = await caller.input.send({ sessionId, inputId, content, createSession: true, requestId });
      const events = untracked<SessionEvent>(
        await caller.session.events({ sessionId, lastEventId: eventId, requestId }),
      );
      reply.hijack();
      await sendEventStream(
        reply.raw,
        answerMessages({ events, history: historyOf(caller, sessionId), inputId }, requestId),
        {
          headers: { 'x-request-id': requestId },
        },
      );
    });
  };
}
