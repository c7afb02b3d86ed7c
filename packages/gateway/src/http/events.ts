import { contract, type SessionEvent, type SessionEvents, toWireError } from '@codelab/protocol';
import { clientGone, type SseMessage, sendEventStream, toCodelabError, toValidationError } from '@codelab/service-kit';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { strictContract } from '../strict-contract.ts';
import { queryOf, type RouteOptions, restRoutesOf, toUrl } from './rest.ts';

/** Chooses whether each event has its type as `event`, or none, as `EventSource.onmessage` takes them. */
export const EventNames = z.enum(['named', 'unnamed'], 'events must be named or unnamed').default('named');

/** Serves the route of `session.events`: the session's events as SSE, resumed by `Last-Event-ID`. */
export function eventsRoute({ router, makeContext }: RouteOptions) {
  return async (app: FastifyInstance) => {
    for (const { name, route, input: schema } of restRoutesOf(strictContract(contract))) {
      if (name !== 'session.events') continue;
      const taken = schema.safeExtend({ events: EventNames });
      app.get<{ Params: { sessionId: string } }>(toUrl(route), async (request, reply) => {
        const requestId = request.id;
        const query = queryOf(request);
        const parsed = taken.safeParse({
          ...query,
          ...request.params,
          lastEventId: request.headers['last-event-id'] ?? query.lastEventId,
        });
        const context = makeContext(request, requestId);
        if (context.refusal !== undefined) throw context.refusal;
        if (!parsed.success) throw toValidationError(parsed.error);
        const { events: names, ...input } = parsed.data as SessionEvents & { events: z.infer<typeof EventNames> };
        const caller = router.createCaller(context, { signal: clientGone(reply.raw) });
        // A session that isn't there gets its 404; what fails later is an event.
        await caller.session.get({ sessionId: input.sessionId, requestId });
        const events = await caller.session.events({ ...input, requestId });
        reply.hijack();
        await sendEventStream(reply.raw, toMessages(events, requestId, names === 'named'), {
          headers: { 'x-request-id': requestId },
        });
      });
    }
  };
}

async function* toMessages(
  events: AsyncIterable<unknown>,
  requestId: string,
  isNamed: boolean,
): AsyncGenerator<SseMessage> {
  try {
    for await (const [id, event] of events as AsyncIterable<[string, SessionEvent]>)
      yield isNamed ? { id, event: event.type, data: event } : { id, data: event };
  } catch (thrown) {
    const error = toWireError(toCodelabError(thrown), requestId);
    // `EventSource` takes an event of that name for a cut of its own: without names it is told apart by its type.
    yield isNamed ? { event: 'error', data: error } : { data: { type: 'error', ...error } };
  }
}
