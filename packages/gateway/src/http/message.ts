import { fromWireError, MessageBody, newId, noUsage, type SessionEvent, type Usage } from '@codelab/protocol';
import {
  answerFrames,
  answerMessages,
  clientGone,
  sendEventStream,
  toValidationError,
  untracked,
} from '@codelab/service-kit';
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
      const events = untracked<SessionEvent>(
        await caller.session.events({ sessionId, lastEventId: eventId, requestId }),
      );

      if (stream || request.headers.accept?.includes('text/event-stream')) {
        reply.hijack();
        await sendEventStream(reply.raw, answerMessages(events, inputId, requestId), {
          headers: { 'x-request-id': requestId },
        });
        return;
      }
      let text = '';
      let run = { runId: '', usage: noUsage as Usage };
      for await (const { frame, event } of answerFrames(events, inputId)) {
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
