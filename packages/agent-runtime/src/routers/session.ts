import {
  SessionCreate,
  SessionEvents,
  SessionFork,
  SessionItems,
  SessionList,
  SessionRef,
  SessionUpdate,
} from '@codelab/protocol';
import { procedure, router, streamFailed } from '@codelab/service-kit';
import { tracked } from '@trpc/server';
import type { Sessions } from '../sessions.ts';

export function createSessionRouter(sessions: Sessions) {
  return router({
    create: procedure.input(SessionCreate).mutation(({ input }) => sessions.create(input)),
    get: procedure.input(SessionRef).query(({ input }) => sessions.use(input.sessionId, ({ session }) => session)),
    list: procedure.input(SessionList).query(({ input }) => sessions.list(input)),
    update: procedure
      .input(SessionUpdate)
      .mutation(({ input: { sessionId, ...changes } }) =>
        sessions.use(sessionId, (session) => session.update(changes)),
      ),
    fork: procedure.input(SessionFork).mutation(({ input }) => sessions.fork(input)),
    delete: procedure.input(SessionRef).mutation(({ input }) => sessions.delete(input.sessionId)),
    items: procedure.input(SessionItems).query(({ input }) => sessions.items(input)),
    events: procedure.input(SessionEvents).subscription(async function* ({ input, ctx, signal }) {
      const { flow, lifecycle } = ctx;
      const events = sessions.events(input, { signal, draining: lifecycle.draining });
      const done = lifecycle.begin();
      try {
        for await (const { id, event } of events) {
          await flow.writable(signal);
          yield tracked(id, event);
        }
      } catch (thrown) {
        streamFailed(ctx, thrown, 'session.events');
      } finally {
        done();
      }
    }),
  });
}
