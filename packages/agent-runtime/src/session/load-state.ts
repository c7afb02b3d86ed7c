import type { Item, Rule } from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import type { Agents } from '../agents/agents.ts';
import type { CallState, RunState, SessionState } from '../machine/state.ts';
import type { Store, StoredItem, StoredSession } from '../store/store.ts';
import { prepareCall, rejection } from '../tools/tool-call.ts';
import type { ToolRegistry } from '../tools/tool-registry.ts';

export interface LoadDeps {
  store: Store;
  agents: Agents;
  registry: ToolRegistry;
  log: Logger;
}

/** Loads a session as it is stored. Its run, where it has one, is held. */
export async function loadState(found: StoredSession, deps: LoadDeps): Promise<SessionState> {
  const { sessionId } = found.session;
  const { store } = deps;
  const queue = await store.queuedInputs(sessionId);
  const state: SessionState = {
    stored: found,
    position: await store.lastPosition(sessionId),
    lastInput: 0,
    queue,
    run: undefined,
  };
  const unfinished = await store.runningRun(sessionId);
  if (unfinished === undefined) return state;
  const input = await store.input(sessionId, unfinished.run.inputId);
  if (input === undefined) throw new Error(`the run ${unfinished.run.runId} has no input`);
  const run: RunState = {
    run: unfinished.run,
    input,
    attempts: unfinished.attempts,
    isCancelled: unfinished.isCancelled || queue.some(({ whenBusy }) => whenBusy === 'interrupt'),
    isHeld: true,
    calls: await loadCalls(found, unfinished.run.runId, deps),
    repetition: { calls: '', times: 0 },
  };
  return { ...state, run };
}

/** The open calls of a step that is stored, with what was decided on them. */
async function loadCalls(
  { session, tools: announced }: StoredSession,
  runId: string,
  deps: LoadDeps,
): Promise<CallState[]> {
  const { store, agents, registry, log } = deps;
  const { sessionId, project } = session;
  const open = (await store.openItems(sessionId)).filter(
    ({ item }) => item.runId === runId && item.toolCall !== undefined,
  );
  if (open.length === 0) return [];
  const agent = agents.find(session.agent);
  const rules: Rule[] = [...agent.rules, ...(await store.rules(sessionId, project))];
  const names = open.map(({ item }) => item.toolCall?.name ?? '');
  const options = {
    runId,
    agent,
    tools: registry.toolsAgain(announced, agent, names),
    registry,
    rules,
    project,
    approvalTimeoutMs: 0,
    signal: new AbortController().signal,
    onError: (err: unknown) =>
      log.error({ err, sessionId, runId, event: 'call.unchecked' }, 'a tool call could not be checked'),
  };
  return Promise.all(open.map((stored) => loadCall(stored, sessionId, options, store)));
}

async function loadCall(
  stored: StoredItem,
  sessionId: string,
  options: Parameters<typeof prepareCall>[1],
  store: Store,
): Promise<CallState> {
  const { callId, name } = stored.item.toolCall as NonNullable<Item['toolCall']>;
  const { tool, args, end } = await prepareCall(stored.item, options);
  const known = await store.approval(sessionId, callId);
  const call = { callId, name, stored, args };
  if (end !== undefined || tool === undefined)
    return {
      ...call,
      is: 'settled',
      tool,
      end: end ?? { outcome: 'failed', text: 'There is no such tool.' },
      // Nobody is asked any more.
      ...(known?.pending === true ? { approval: known.approval } : {}),
    };
  if (known?.pending === true) return { ...call, is: 'awaiting_approval', tool, approval: known.approval };
  if (known !== undefined) {
    const { decision = 'reject', feedback } = JSON.parse(known.decisionJson ?? '{}') as {
      decision?: Parameters<typeof rejection>[0]['decision'];
      feedback?: string;
    };
    if (decision !== 'allow' && decision !== 'edit')
      return { ...call, is: 'settled', tool, end: rejection({ decision, feedback }) };
  }
  if (tool.target === 'mcp' && tool.kind !== 'read' && stored.modelOnly?.isStarted === true)
    return {
      ...call,
      is: 'settled',
      tool,
      end: {
        outcome: 'failed',
        text: 'The service was restarted while this ran: it is not known whether it took effect. Look before you do it again.',
      },
    };
  // It was allowed when it was made, or since.
  return { ...call, is: 'ready', tool };
}
