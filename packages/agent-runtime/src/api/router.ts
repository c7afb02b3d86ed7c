import { CodelabError, contract } from '@codelab/protocol';
import { implement } from '@codelab/service-kit';
import type { Agents } from '../agents/agents.ts';
import type { LlmClient } from '../model/llm-client.ts';
import type { SessionRegistry } from '../session/session-registry.ts';
import type { Store } from '../store/store.ts';

export interface RouterOptions {
  sessions: SessionRegistry;
  store: Store;
  agents: Agents;
  llm: LlmClient;
}

/** Builds the router of agent-runtime: a handler for each procedure of the contract. */
export function createRouter({ sessions, store, agents, llm }: RouterOptions) {
  const { use } = sessions;
  return implement(contract, {
    session: {
      create: ({ input }) => sessions.create(input),
      get: ({ input }) => use(input.sessionId, ({ session }) => session),
      list: ({ input }) => sessions.list(input),
      update: ({ input: { sessionId, ...changes } }) => use(sessionId, (session) => session.update(changes)),
      fork: ({ input }) => sessions.fork(input),
      delete: ({ input }) => sessions.delete(input.sessionId),
      items: ({ input }) => sessions.items(input),
      events: ({ input, ctx, signal }) => sessions.events(input, { signal, draining: ctx.lifecycle.draining }),
    },
    input: {
      send: ({ input, ctx }) => sessions.send(input, ctx.requestId),
      get: ({ input }) => sessions.input(input.sessionId, input.inputId),
      cancel: ({ input }) => use(input.sessionId, (session) => session.cancelInput(input.inputId)),
    },
    run: {
      get: ({ input }) => sessions.run(input.sessionId, input.runId),
      cancel: ({ input, ctx }) => use(input.sessionId, (session) => session.cancelRun(input.runId, ctx.requestId)),
    },
    tool: {
      announce: ({ input }) => use(input.sessionId, (session) => session.announce(input)),
      list: ({ input }) => use(input.sessionId, (session) => session.tools()),
      result: ({ input }) => use(input.sessionId, (session) => session.toolResult(input)),
      progress: ({ input }) => use(input.sessionId, (session) => session.toolProgress(input)),
      async readResult({ input: { sessionId, resultId, offset, limit } }) {
        const text = await use(sessionId, () => store.result(sessionId, resultId));
        if (text === undefined)
          throw new CodelabError('NOT_FOUND', `There is no result "${resultId}" in the session "${sessionId}".`);
        return { text: text.slice(offset, offset + limit), length: text.length };
      },
    },
    approval: {
      list: ({ input }) => use(input.sessionId, async (session) => ({ approvals: await session.approvals() })),
      decide: ({ input }) => use(input.sessionId, (session) => session.decide(input)),
      preview: ({ input }) => use(input.sessionId, (session) => session.preview(input)),
    },
    rule: {
      list: async ({ input }) => ({ rules: await use(input.sessionId, (session) => session.rules()) }),
      add: async ({ input }) => ({ rule: await use(input.sessionId, (session) => session.addRule(input)) }),
      delete: ({ input }) => use(input.sessionId, (session) => session.deleteRule(input.ruleId)),
    },
    agent: {
      list: () => agents.list(),
      switch: ({ input }) => use(input.sessionId, (session) => session.switchAgent(input.agent, input.reason)),
    },
    model: {
      list: ({ ctx }) => llm.models(ctx.requestId),
    },
    usage: {
      get: ({ input: { sessionId } }) =>
        sessionId === undefined ? store.usage(undefined) : use(sessionId, () => store.usage(sessionId)),
    },
  });
}

export type AgentRuntimeRouter = ReturnType<typeof createRouter>;
