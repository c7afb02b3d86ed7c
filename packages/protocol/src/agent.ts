import { z } from 'zod';
import { AgentName, SessionId } from './ids.ts';

/** An agent as a person chooses it. */
export interface AgentInfo {
  name: string;
  description: string;
  /** The model that it asks for, where it does. */
  model?: string;
  /** The names of its tools, with `*` as a wildcard; without: all. */
  tools?: string[];
}

export interface AgentList {
  agents: AgentInfo[];
  defaultAgent: string;
}

export const AgentSwitch = z.object({
  sessionId: SessionId,
  agent: AgentName,
  reason: z.string().max(2000).default(''),
});
export type AgentSwitch = z.infer<typeof AgentSwitch>;
