import { z } from 'zod';
import { AgentName, SessionId } from './ids.ts';
import { Effort } from './session.ts';

export const AgentInfo = z
  .object({
    name: z.string(),
    description: z.string(),
    model: z.string().exactOptional().describe('The model that it asks for, where it does.'),
    effort: Effort.exactOptional().describe('How much its model thinks, where it says so.'),
    tools: z
      .array(z.string())
      .exactOptional()
      .describe('The names of its tools, with `*` as a wildcard; without: all.'),
  })
  .describe('An agent as a person chooses it.');
export type AgentInfo = z.infer<typeof AgentInfo>;

export const AgentList = z.object({ agents: z.array(AgentInfo), defaultAgent: z.string() });
export type AgentList = z.infer<typeof AgentList>;

export const AgentSwitch = z.object({
  sessionId: SessionId,
  agent: AgentName,
  reason: z.string().max(2000).default(''),
});
export type AgentSwitch = z.infer<typeof AgentSwitch>;

export const AgentSwitched = z.object({ from: z.string(), to: z.string() });
