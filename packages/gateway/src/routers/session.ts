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
import type { Runtime } from '../runtime.ts';

export function createSessionRouter(runtime: Runtime) {
  return router({
    create: procedure
      .input(SessionCreate)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.session.create.mutate({ ...input, requestId }, options)),
      ),
    get: procedure
      .input(SessionRef)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.session.get.query({ ...input, requestId }, options)),
      ),
    list: procedure
      .input(SessionList)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.session.list.query({ ...input, requestId }, options)),
      ),
    update: procedure
      .input(SessionUpdate)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.session.update.mutate({ ...input, requestId }, options)),
      ),
    fork: procedure
      .input(SessionFork)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.session.fork.mutate({ ...input, requestId }, options)),
      ),
    delete: procedure
      .input(SessionRef)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.session.delete.mutate({ ...input, requestId }, options)),
      ),
    items: procedure
      .input(SessionItems)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.session.items.query({ ...input, requestId }, options)),
      ),
    events: procedure.input(SessionEvents).subscription(async function* ({ input, ctx, signal }) {
      const done = ctx.lifecycle.begin();
      try {
        for await (const { id, event } of runtime.events(input, ctx, signal)) {
          await ctx.flow.writable(signal);
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
