import type { SessionEvent } from '@codelab/protocol';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { SessionState } from '../machine/state.ts';

export interface SessionMetrics {
  /** Counts what stored events tell. `before`: the state that they came after. */
  told(events: readonly SessionEvent[], before: SessionState): void;
  sessionCreated(how: 'created' | 'forked'): void;
  /** Counts a run of an earlier process that goes on. */
  runResumed(): void;
  /** Sets what the number of sessions in memory is read from. */
  readLive(count: () => number): void;
}

const SECONDS = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];
/** People take longer than machines. */
const WAITING_SECONDS = [1, 5, 15, 60, 300, 1800, 3600, 14_400, 86_400];

/** Adds the metrics of sessions, runs, tool calls and approvals. */
export function createSessionMetrics(registry: Registry): SessionMetrics {
  const registers = [registry];
  const sessions = new Counter({
    name: 'codelab_sessions_total',
    help: 'Sessions that were made, by how: created, or forked from another',
    labelNames: ['how'],
    registers,
  });
  let live = () => 0;
  new Gauge({
    name: 'codelab_live_sessions',
    help: 'Sessions in memory',
    registers,
    collect() {
      this.set(live());
    },
  });
  const runs = new Histogram({
    name: 'codelab_run_seconds',
    help: 'Time from the beginning of a run to its end, waiting for people included, by how it ended',
    labelNames: ['status'],
    buckets: SECONDS,
    registers,
  });
  const ended = new Counter({
    name: 'codelab_runs_total',
    help: 'Runs that have ended, by how, and by the code of the error that they failed with',
    labelNames: ['status', 'code'],
    registers,
  });
  const resumed = new Counter({
    name: 'codelab_runs_resumed_total',
    help: 'Runs that an earlier process left unfinished, and that went on',
    registers,
  });
  const calls = new Counter({
    name: 'codelab_tool_calls_total',
    help: 'Tool calls that have ended, by how',
    labelNames: ['outcome'],
    registers,
  });
  const asked = new Counter({
    name: 'codelab_approvals_requested_total',
    help: 'Tool calls that a person was asked about',
    registers,
  });
  const approvals = new Histogram({
    name: 'codelab_approval_wait_seconds',
    help: 'Time that a tool call waited for a person, by the decision',
    labelNames: ['decision'],
    buckets: WAITING_SECONDS,
    registers,
  });
  return {
    told(events, { run }) {
      for (const event of events) {
        if (event.type === 'run.finished') {
          const { status, error, ts, runId } = event;
          ended.inc({ status, code: error?.code ?? '' });
          // One that began and ended at once was never at work.
          const startedAt = run?.run.runId === runId ? run.run.startedAt.getTime() : ts;
          runs.observe({ status }, Math.max(ts - startedAt, 0) / 1000);
        } else if (event.type === 'tool.finished') calls.inc({ outcome: event.outcome });
        else if (event.type === 'approval.requested') asked.inc();
        else if (event.type === 'approval.resolved') {
          const { callId, decision, ts } = event;
          const call = run?.calls.find((each) => each.callId === callId);
          const approval = call !== undefined && 'approval' in call ? call.approval : undefined;
          if (approval === undefined) continue;
          approvals.observe({ decision }, Math.max(ts - approval.createdAt.getTime(), 0) / 1000);
        }
      }
    },
    sessionCreated: (how) => sessions.inc({ how }),
    runResumed: () => resumed.inc(),
    readLive(count) {
      live = count;
    },
  };
}
