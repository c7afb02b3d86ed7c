import { PlanEntry, wholePart } from '@codelab/protocol';
import { z } from 'zod';
import type { Agents } from '../agents/agents.ts';
import type { Store } from '../store/store.ts';
import { calculator } from './calculator.ts';
import { type ServerTool, serverTool } from './server-tool.ts';

/** Creates the tools that run in agent-runtime. */
export function createServerTools({ agents, store }: { agents: Agents; store: Store }): ServerTool[] {
  return [
    calculator,

    serverTool({
      name: 'plan',
      description:
        'Keeps the plan of the work, which the person sees. Give the whole plan each time, with the state of every entry; one at a time is in_progress.',
      input: z.object({ entries: z.array(PlanEntry).min(1).max(50) }),
      execute: ({ entries }) => {
        const done = entries.filter(({ status }) => status === 'completed').length;
        return { result: `The plan is kept: ${done} of ${entries.length} done.`, plan: entries };
      },
    }),

    serverTool({
      name: 'switch_agent',
      description:
        'Hands the conversation to another agent, which goes on from here with all that was said. Agents: orchestrator, coder (changes code), architect (documents), debug and ask (only read), and those that the person added.',
      input: z.object({
        agent: z.string().describe("The agent's name"),
        reason: z.string().max(2000).describe('What it should do, and why it is the one'),
      }),
      execute: ({ agent, reason }) => {
        const { name } = agents.get(agent);
        return { result: `${name} goes on from here.`, switchTo: { agent: name, reason } };
      },
    }),

    serverTool({
      name: 'read_result',
      description: 'Reads a part of a large tool result that was shortened.',
      input: z.object({
        result_id: z.string().max(128),
        offset: z.int().nonnegative().default(0).describe('In characters'),
        limit: z.int().min(1).max(20_000).default(10_000),
      }),
      execute: async ({ result_id, offset, limit }, { sessionId }) => {
        const text = await store.result(sessionId, result_id);
        if (text === undefined) throw new Error(`There is no result "${result_id}" in this session.`);
        const part = wholePart(text, offset, offset + limit);
        const end = wholePart(text, 0, offset + limit).length;
        return { result: `${part}\n[characters ${offset} to ${end} of ${text.length}]` };
      },
    }),
  ];
}
