import type { Draft } from './draft.ts';

/** Makes another agent the session's, for a person or for the model. */
export function switchAgent(draft: Draft, to: string, reason: string, by: 'user' | 'model'): void {
  const { stored } = draft.state;
  const from = stored.session.agent;
  const session = { ...stored.session, agent: to, updatedAt: new Date(draft.env.now) };
  draft.state = { ...draft.state, stored: { ...stored, session } };
  draft.emit({ type: 'agent.switched', from, to, reason });
  draft.addItem('agent_switch', { agentSwitch: { from, to, reason, by } });
  draft.put('sessionData', session);
  draft.emit({ type: 'session.updated', session });
}
