import { addUsage, type CodelabError, noUsage, type Run, toWireError } from '@codelab/protocol';
import type { StoredInput } from '../store/store.ts';
import { canBegin, cancelCall, execute, finishCall, isItsTurn, leaveUnattended } from './call-machine.ts';
import type { Draft, Env } from './draft.ts';
import { isUnattended, type RunState } from './state.ts';
import { switchAgent } from './switch-agent.ts';

export interface RunEnd {
  status: Exclude<Run['status'], 'running'>;
  error?: CodelabError | undefined;
  /** For the person: why it went no further. */
  notice?: string | undefined;
}

/** The parts of the environment that the choice of a model depends on. */
export interface ModelChoice {
  agents: Pick<Env['agents'], 'find'>;
  settings: { model: string };
}

/** Returns the model that answers next. `agent`: who is asked; default: the session's. */
export function modelOf(
  { input }: Pick<RunState, 'input'>,
  { state, env }: { state: Draft['state']; env: ModelChoice },
  agent = state.stored.session.agent,
): string {
  const own = input.input.model ?? state.stored.session.model;
  return own === 'default' ? (env.agents.find(agent).model ?? env.settings.model) : own;
}

/** Returns how much the model that answers next is to think; undefined: as it does by itself. */
export function effortOf(
  { input }: Pick<RunState, 'input'>,
  { state, env }: { state: Draft['state']; env: ModelChoice },
) {
  const { session } = state.stored;
  const own = input.input.effort ?? session.effort ?? 'default';
  return own === 'default' ? env.agents.find(session.agent).effort : own;
}

/** Begins the next run of the queue, where there is none at work. */
export function beginNext(draft: Draft): void {
  const { queue, run } = draft.state;
  const [next, ...rest] = queue;
  if (next === undefined || run !== undefined || draft.env.isDraining) draft.stateChanged();
  else {
    draft.state = { ...draft.state, queue: rest };
    beginRun(draft, next);
  }
}

function beginRun(draft: Draft, input: StoredInput): void {
  const { session } = draft.state.stored;
  const agent = draft.env.agents.find(input.agent ?? session.agent).name;
  const begun: RunState = {
    run: {
      runId: draft.env.newId('run'),
      sessionId: session.sessionId,
      inputId: input.input.inputId,
      agent,
      model: modelOf({ input }, draft, agent),
      status: 'running',
      steps: 0,
      usage: noUsage,
      startedAt: new Date(draft.env.now),
    },
    input,
    attempts: 0,
    isCancelled: false,
    isHeld: false,
    calls: [],
    repetition: { calls: '', times: 0 },
  };
  draft.state = { ...draft.state, run: begun };
  draft.stateChanged();
  const { runId, model } = begun.run;
  draft.emit({ type: 'input.delivered', inputId: begun.run.inputId, runId });
  draft.emit({ type: 'run.started', runId, inputId: begun.run.inputId, agent, model });
  deliver(draft, input);
  draft.putRun();
  generate(draft);
}

/** Makes an input part of the run. */
function deliver(draft: Draft, stored: StoredInput): void {
  const { session } = draft.state.stored;
  const runId = draft.state.run?.run.runId ?? '';
  const { inputId, content, attachments } = stored.input;
  if (stored.agent !== undefined && stored.agent !== session.agent)
    switchAgent(draft, draft.env.agents.find(stored.agent).name, 'The person chose it.', 'user');
  draft.addItem('user_message', {
    text: content,
    inputId,
    ...(attachments === undefined ? {} : { attachments }),
  });
  draft.put('input', { ...stored, input: { ...stored.input, status: 'delivered', runId } });
}

/** Takes in what was sent for this run meanwhile, then lets the model answer, or ends the run where it has had its steps. */
function generate(draft: Draft): void {
  const run = draft.state.run as RunState;
  const { runId, steps } = run.run;
  const steers = draft.state.queue.filter(({ whenBusy }) => whenBusy === 'steer');
  if (steers.length > 0) {
    draft.state = { ...draft.state, queue: draft.state.queue.filter(({ whenBusy }) => whenBusy !== 'steer') };
    for (const steer of steers) {
      draft.emit({ type: 'input.delivered', inputId: steer.input.inputId, runId });
      deliver(draft, steer);
    }
  }
  if (run.isCancelled) endRun(draft, { status: 'cancelled' });
  else if (steps >= draft.env.settings.maxSteps)
    endRun(draft, { status: 'limit', notice: `Stopped after ${steps} steps. Send a message to go on.` });
  else {
    draft.stateChanged();
    draft.emit({ type: 'step.started', runId, model: modelOf(run, draft) });
  }
}

/** Does what can be done without anybody: ends calls that are settled, begins those whose turn it is, lets the model go on. */
export function advance(draft: Draft): void {
  for (;;) {
    const { run } = draft.state;
    if (run === undefined || run.isHeld) break;
    const settled = run.calls.find((call) => call.is === 'settled');
    if (settled?.is === 'settled') {
      finishCall(draft, settled, settled.end);
      continue;
    }
    if (run.isCancelled) {
      if (run.calls.length > 0) endRun(draft, { status: 'cancelled' });
      break;
    }
    if (run.calls.length === 0) {
      generate(draft);
      break;
    }
    const next = run.calls.find((call, index) => isItsTurn(run.calls, index) && canBegin(draft, call));
    if (next?.is !== 'ready') {
      for (const [index, call] of run.calls.entries())
        if (call.is === 'ready' && !isUnattended(call) && isItsTurn(run.calls, index)) leaveUnattended(draft, call);
      break;
    }
    execute(draft, next);
  }
  draft.stateChanged();
}

/** Ends the run: what is open gets a result that says so, and the next of the queue begins. */
export function endRun(draft: Draft, { status, error, notice }: RunEnd): void {
  const { run, input, calls } = draft.state.run as RunState;
  for (const call of calls) cancelCall(draft, call);
  if (notice !== undefined) draft.addItem('notice', { text: notice });
  const wire = error === undefined ? undefined : toWireError(error, input.requestId);
  draft.setRun({
    calls: [],
    run: {
      ...run,
      status,
      finishedAt: new Date(draft.env.now),
      ...(wire === undefined ? {} : { error: wire }),
    },
  });
  draft.putRun();
  draft.emit({
    type: 'run.finished',
    runId: run.runId,
    status,
    usage: run.usage,
    ...(run.costUsd === undefined ? {} : { costUsd: run.costUsd }),
    ...(wire === undefined ? {} : { error: wire }),
  });
  draft.state = { ...draft.state, run: undefined };
  beginNext(draft);
}

export function withUsage(run: Run, usage: Run['usage'], costUsd: number | undefined): Run {
  return {
    ...run,
    usage: addUsage(run.usage, usage),
    ...(costUsd === undefined ? {} : { costUsd: (run.costUsd ?? 0) + costUsd }),
  };
}
