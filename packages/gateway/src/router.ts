import { router } from '@codelab/service-kit';
import { createInputRouter } from './routers/input.ts';
import { createModelRouter } from './routers/model.ts';
import { createRunRouter } from './routers/run.ts';
import { createSessionRouter } from './routers/session.ts';
import type { Runtime } from './runtime.ts';

export function createRouter(runtime: Runtime) {
  return router({
    session: createSessionRouter(runtime),
    input: createInputRouter(runtime),
    run: createRunRouter(runtime),
    model: createModelRouter(runtime),
  });
}

export type GatewayRouter = ReturnType<typeof createRouter>;
