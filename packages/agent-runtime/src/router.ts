import { router } from '@codelab/service-kit';
import type { Agents } from './agents.ts';
import type { Llm } from './llm.ts';
import { createAgentRouter } from './routers/agent.ts';
import { createApprovalRouter } from './routers/approval.ts';
import { createInputRouter } from './routers/input.ts';
import { createModelRouter } from './routers/model.ts';
import { createRuleRouter } from './routers/rule.ts';
import { createRunRouter } from './routers/run.ts';
import { createSessionRouter } from './routers/session.ts';
import { createToolRouter } from './routers/tool.ts';
import { createUsageRouter } from './routers/usage.ts';
import type { Sessions } from './sessions.ts';
import type { Store } from './store/store.ts';

export interface RouterOptions {
  sessions: Sessions;
  store: Store;
  agents: Agents;
  llm: Llm;
}

export function createRouter({ sessions, store, agents, llm }: RouterOptions) {
  return router({
    session: createSessionRouter(sessions),
    input: createInputRouter(sessions),
    run: createRunRouter(sessions),
    tool: createToolRouter(sessions, store),
    approval: createApprovalRouter(sessions),
    rule: createRuleRouter(sessions),
    agent: createAgentRouter(agents, sessions),
    model: createModelRouter(llm),
    usage: createUsageRouter(sessions, store),
  });
}

export type AgentRuntimeRouter = ReturnType<typeof createRouter>;
