import { SessionRef, ToolAnnounce, ToolProgress, ToolResult, ToolResultRead } from '@codelab/protocol';
import { procedure, router } from '@codelab/service-kit';
import type { Runtime } from '../runtime.ts';

export function createToolRouter(runtime: Runtime) {
  return router({
    announce: procedure
      .input(ToolAnnounce)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.tool.announce.mutate({ ...input, requestId }, options)),
      ),
    list: procedure
      .input(SessionRef)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.tool.list.query({ ...input, requestId }, options)),
      ),
    result: procedure
      .input(ToolResult)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.tool.result.mutate({ ...input, requestId }, options)),
      ),
    progress: procedure
      .input(ToolProgress)
      .mutation(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.tool.progress.mutate({ ...input, requestId }, options)),
      ),
    readResult: procedure
      .input(ToolResultRead)
      .query(({ input, ctx: { requestId } }) =>
        runtime.call((trpc, options) => trpc.tool.readResult.query({ ...input, requestId }, options)),
      ),
  });
}
