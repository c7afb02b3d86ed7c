import { procedure, router } from '@codelab/service-kit';
import type { Llm } from '../llm.ts';

export function createModelRouter(llm: Llm) {
  return router({
    list: procedure.query(({ ctx }) => llm.models(ctx.requestId)),
  });
}
