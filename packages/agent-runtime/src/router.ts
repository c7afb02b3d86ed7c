import { router } from '@codelab/service-kit';
import type { Llm } from './llm.ts';
import { createInputRouter } from './routers/input.ts';
import { createModelRouter } from './routers/model.ts';
import { createRunRouter } from './routers/run.ts';
import { createSessionRouter } from './routers/session.ts';
import type { Sessions } from './sessions.ts';

export function createRouter({ sessions, llm }: { sessions: Sessions; llm: Llm }) {
  return router({
    session: createSessionRouter(sessions),
    input: createInputRouter(sessions),
    run: createRunRouter(sessions),
    model: createModelRouter(llm),
  });
}

export type AgentRuntimeRouter = ReturnType<typeof createRouter>;
