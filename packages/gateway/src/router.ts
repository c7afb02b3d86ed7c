import { router } from '@codelab/service-kit';
import { createAgentRouter } from './routers/agent.ts';
import { createApprovalRouter } from './routers/approval.ts';
import { createInputRouter } from './routers/input.ts';
import { createModelRouter } from './routers/model.ts';
import { createRuleRouter } from './routers/rule.ts';
import { createRunRouter } from './routers/run.ts';
import { createSessionRouter } from './routers/session.ts';
import { createToolRouter } from './routers/tool.ts';
import { createUsageRouter } from './routers/usage.ts';
import type { Runtime } from './runtime.ts';

export function createRouter(runtime: Runtime) {
  return router({
    session: createSessionRouter(runtime),
    input: createInputRouter(runtime),
    run: createRunRouter(runtime),
    tool: createToolRouter(runtime),
    approval: createApprovalRouter(runtime),
    rule: createRuleRouter(runtime),
    agent: createAgentRouter(runtime),
    model: createModelRouter(runtime),
    usage: createUsageRouter(runtime),
  });
}

export type GatewayRouter = ReturnType<typeof createRouter>;
