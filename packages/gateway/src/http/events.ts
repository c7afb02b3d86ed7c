import { contract, type SessionEvent, SessionEvents, toWireError } from '@codelab/protocol';
import { clientGone, type SseMessage, sendEventStream, toCodelabError, toValidationError } from '@codelab/service-kit';
import type { FastifyInstance } from 'fastify';
import { type RouteOptions, restRoutesOf, toUrl } from './rest.ts';

/** Serves the route of `session.events`: the session's events as SSE, resumed by `Last-Event-ID`. */
export function eventsRoute({ router, makeContext }: RouteOptions) {
  return async (app: FastifyInstance) => {
    for (const { name, route } of restRoutesOf(contract)) {
      if (name !== 'session.events') continue;
      app.get<{ Params: { sessionId: string }; Querystring: { from?: string; lastEventId?: string } }>(
        toUrl(route),
        async (request, reply) => {
          const requestId = request.id;
          const input = SessionEvents.safeParse({
            sessionId: request.params.sessionId,
            lastEventId: request.headers['last-event-id'] ?? request.query.lastEventId,
            from: request.query.from,
          });
          const context = makeContext(request, requestId);
          if (context.refusal !== undefined) throw context.refusal;
          if (!input.success) throw toValidationError(input.error);
          const caller = router.createCaller(context, { signal: clientGone(reply.raw) });
          // A session that isn't there gets its 404; what fails later is an event.
          await caller.session.get({ sessionId: input.data.sessionId, requestId });
          const events = await caller.session.events({ ...input.data, requestId });
          reply.hijack();
          await sendEventStream(reply.raw, toMessages(events, requestId), {
            headers: { 'x-request-id': requestId },
          });
        },
      );
    }
  };
}

async function* toMessages(events: AsyncIterable<unknown>, requestId: string): AsyncGenerator<SseMessage> {
  try {
    for await (const [id, event] of events as AsyncIterable<[string, SessionEvent]>)
      yield { id, event: event.type, data: event };
  } catch (thrown) {
    yield { event: 'error', data: toWireError(toCodelabError(thrown), requestId) };
  }
}
