import type { Logger } from '@codelab/service-kit';
import { createDeferred, type Deferred } from '../lib/deferred.ts';
import { timerMs } from '../lib/timer-ms.ts';
import { timeoutOf } from '../machine/call-machine.ts';
import type { Input } from '../machine/session-machine.ts';
import { isUnattended, isWaiting, type RunState, type SessionState } from '../machine/state.ts';
import type { ModelContext } from '../model/model-context.ts';
import { type Execution, type ExecutionOptions, startExecution } from '../run/execution.ts';
import { type Generation, type GenerationHost, startGeneration } from '../run/generation.ts';
import type { SessionDeps } from './session-types.ts';

export interface EffectsOptions {
  sessionId: string;
  deps: SessionDeps;
  host: GenerationHost;
  log: Logger;
  showProgress: ExecutionOptions['showProgress'];
  /** While the service stops: nothing goes on until a person decides. */
  onOnlyWaiting(): void;
}

/** The work that a session's state needs: the model's answer, tools, timers. */
export interface Effects {
  /** Starts what the state needs, and ends what it does not. */
  reconcile(): void;
  /** Asks the model for the run of `state`, which is not committed yet. `begin` shows its answer then. */
  askAhead(state: SessionState, view: ModelContext): void;
  begin(): void;
  /** Gives up what was asked ahead. */
  forget(): void;
  /** Says that the answer of the model has been stored, or is not wanted. */
  answered(): void;
  /** Stops what a run does, before that is stored: a stop is never slowed by a disk. Without `runId` whatever runs. */
  stop(runId: string | undefined): void;
  /** Says that the run gets on: it is not what brings the process down. */
  gotOn(): void;
  execution(callId: string): Execution | undefined;
  /** Resolves when no run is active. */
  over(): Promise<void>;
  /** Ends everything, and leaves the run as it is stored. */
  quit(): void;
}

export function createEffects({ sessionId, deps, host, log, showProgress, onOnlyWaiting }: EffectsOptions): Effects {
  const { lifecycle, probation, settings } = deps;
  const { draining } = lifecycle;
  let generation: Generation | undefined;
  const executions = new Map<string, Execution>();
  const approvals = new Map<string, NodeJS.Timeout>();
  /** Calls that wait for a client. */
  const unattended = new Map<string, { until: number; timer: NodeJS.Timeout }>();
  let hold: { runId: string; gotOn: Deferred<void>; stop: Deferred<void> } | undefined;
  let release: (() => void) | undefined;
  const waiting = new Set<() => void>();
  let hasQuit = false;

  const later = (input: Input): void => {
    host.submit(input).catch((err) => {
      if (!hasQuit)
        log.error({ err, sessionId, input: input.type, event: 'input.lost' }, 'an input could not be decided');
    });
  };

  const endHold = () => {
    hold?.stop.resolve();
    hold?.gotOn.resolve();
    hold = undefined;
  };
  const dropGeneration = () => {
    generation?.abort('drop');
    generation = undefined;
  };

  /** Ends what is at work for a run or a call that is over. */
  const endOthers = (run: RunState | undefined) => {
    const runId = run?.run.runId;
    if (generation !== undefined && generation.runId !== runId) {
      dropGeneration();
      host.setLive(undefined);
    }
    if (hold !== undefined && hold.runId !== runId) endHold();
    const calls = new Map((run?.calls ?? []).map((call) => [call.callId, call]));
    for (const [callId, execution] of executions) {
      const call = calls.get(callId);
      // Where another client runs it now, its time begins anew.
      if (call?.is === 'executing' && call.request.clientId === execution.clientId) continue;
      execution.abort();
      executions.delete(callId);
    }
    for (const [callId, timer] of approvals) {
      if (calls.get(callId)?.is === 'awaiting_approval') continue;
      clearTimeout(timer);
      approvals.delete(callId);
    }
    for (const [callId, { until, timer }] of unattended) {
      const call = calls.get(callId);
      if (call?.is === 'ready' && call.unattendedUntil === until) continue;
      clearTimeout(timer);
      unattended.delete(callId);
    }
  };

  /** A service that stops waits for runs that are at work. */
  const holdService = (run: RunState | undefined) => {
    if (run !== undefined && !isWaiting(run)) release ??= lifecycle.begin();
    else {
      release?.();
      release = undefined;
    }
  };

  const expireApprovals = (run: RunState) => {
    for (const call of run.calls) {
      if (call.is !== 'awaiting_approval' || approvals.has(call.callId)) continue;
      const { callId } = call;
      const ms = timerMs(call.approval.deadline.getTime());
      approvals.set(
        callId,
        setTimeout(() => later({ type: 'expire', callId }), ms),
      );
    }
  };

  const expireUnattended = (run: RunState) => {
    for (const call of run.calls) {
      if (call.is !== 'ready' || call.unattendedUntil === undefined || unattended.has(call.callId)) continue;
      const { callId, unattendedUntil: until } = call;
      const timer = setTimeout(() => later({ type: 'giveUp', callId }), timerMs(until));
      unattended.set(callId, { until, timer });
    }
  };

  /** A run of an earlier process goes on when it is its turn: what it may do to this one is known before it does it. */
  const takeTurn = (run: RunState) => {
    const { runId } = run.run;
    if (hold?.runId === runId || draining.aborted) return;
    const held = { runId, gotOn: createDeferred<void>(), stop: createDeferred<void>() };
    hold = held;
    // Waiting for a person brings nothing down, however often the service is started anew meanwhile.
    const isHarmless = run.calls.some(({ is }) => is === 'awaiting_approval');
    if (isHarmless) held.gotOn.resolve();
    const turn = isHarmless ? Promise.resolve() : probation.turn(run.attempts, held.gotOn.promise, held.stop.promise);
    void turn.then(() => {
      if (!hasQuit) later({ type: 'resume', runId, countsAttempt: !isHarmless });
    });
  };

  const execute = (run: RunState) => {
    for (const call of run.calls) {
      if (call.is !== 'executing' || executions.has(call.callId)) continue;
      const timeoutMs = timeoutOf(call.tool, { settings });
      const { submit, fail } = host;
      const { callId, name, tool } = call;
      const { runId } = run.run;
      const fields = { sessionId, runId, callId, name, target: tool.target, timeoutMs };
      log.debug({ ...fields, event: 'tool.start' }, 'a tool begins');
      executions.set(call.callId, startExecution({ call, sessionId, timeoutMs, submit, showProgress, fail }));
    }
  };

  const end = (run: RunState) => {
    if (generation !== undefined) generation.abort('keep');
    else later({ type: 'resume', runId: run.run.runId, countsAttempt: false });
  };

  const reconcile = () => {
    if (hasQuit) return;
    const { run, queue } = host.state;
    endOthers(run);
    holdService(run);
    if (run === undefined) {
      for (const resolve of waiting) resolve();
      waiting.clear();
      if (queue.length > 0 && !draining.aborted) later({ type: 'next' });
      return;
    }
    expireApprovals(run);
    expireUnattended(run);
    if (run.calls.some(isUnattended)) hold?.gotOn.resolve();
    // What is to end needs no turn.
    if (run.isCancelled) end(run);
    else if (run.isHeld) takeTurn(run);
    else if (run.calls.length > 0) execute(run);
    else if (generation === undefined) {
      generation = startGeneration({ state: host.state, ahead: undefined, host, deps });
      generation.go();
    }
    if (draining.aborted && isWaiting(run)) onOnlyWaiting();
  };
  draining.addEventListener('abort', reconcile);

  return {
    reconcile,
    askAhead(state, view) {
      generation = startGeneration({ state, ahead: view, host, deps });
    },
    begin: () => generation?.go(),
    forget: dropGeneration,
    answered() {
      generation = undefined;
    },
    stop(runId) {
      if (runId === undefined || generation?.runId === runId) generation?.abort('keep');
      if (runId === undefined || host.state.run?.run.runId === runId)
        for (const execution of executions.values()) execution.abort();
    },
    gotOn() {
      hold?.gotOn.resolve();
      const { run } = host.state;
      if (run !== undefined && run.attempts > 0) later({ type: 'progress', runId: run.run.runId });
    },
    execution: (callId) => executions.get(callId),
    over: () =>
      host.state.run === undefined ? Promise.resolve() : new Promise((resolve) => void waiting.add(resolve)),
    quit() {
      hasQuit = true;
      draining.removeEventListener('abort', reconcile);
      dropGeneration();
      for (const execution of executions.values()) execution.abort();
      for (const timer of approvals.values()) clearTimeout(timer);
      for (const { timer } of unattended.values()) clearTimeout(timer);
      endHold();
      release?.();
      release = undefined;
      for (const resolve of waiting) resolve();
    },
  };
}
