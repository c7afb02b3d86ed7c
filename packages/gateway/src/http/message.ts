import { MessageBody, newId, type SessionEvent } from '@codelab/protocol';
import {
  answerMessages,
  clientGone,
  historyOf,
  readAnswer,
  sendEventStream,
  toInputId,
  toValidationError,
  untracked,
} from '@codelab/service-kit';
import type { FastifyInstance } from 'fastify';
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
      const events = untracked<SessionEvent>(
        await caller.session.events({ sessionId, lastEventId: eventId, requestId }),
      );

      const answer = { events, history: historyOf(caller, sessionId), inputId };

      if (stream || request.headers.accept?.includes('text/event-stream')) {
        reply.hijack();
        await sendEventStream(reply.raw, answerMessages(answer, requestId), {
          headers: { 'x-request-id': requestId },
        });
        return;
      }
      const { text, finished } = readAnswer(answer);
      const { runId, usage, status } = await finished;
      return {
        session_id: sessionId,
        message_id: messageId ?? inputId,
        run_id: runId,
        message: text(),
        status,
        usage,
      };
    });
  };
}
