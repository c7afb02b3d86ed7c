import { CodelabError } from '@codelab/protocol';
import { MAX_TIMER_MS } from '@codelab/service-kit';
import { withTimeout } from '../lib/with-timeout.ts';
import type { Input } from '../machine/session-machine.ts';
import type { CallState } from '../machine/state.ts';
import type { ServerToolResult } from '../tools/server-tool.ts';
import { type CallEnd, lateEnd } from '../tools/tool-call.ts';

/** A client's tool that reports progress may take so long in all. */
const LONGEST_CALL_MS = 3_600_000;

export type ExecutingCall = Extract<CallState, { is: 'executing' }>;

/** A call whose tool is at work. */
export interface Execution {
  /** When it counts as failed. Milliseconds since 1970. */
  readonly deadline: number;
  /** Gives a client's call its whole time again. */
  extend(): void;
  abort(): void;
}

export interface ExecutionOptions {
  call: ExecutingCall;
  sessionId: string;
  timeoutMs: number;
  /** Stores what came of it. */
  submit(input: Input): Promise<void>;
  /** Ends the run as failed, as soon as that can be stored. */
  fail(runId: string, error: unknown): Promise<void>;
}

export function startExecution({ call, sessionId, timeoutMs, submit, fail }: ExecutionOptions): Execution {
  const { callId, tool, args } = call;
  const abort = new AbortController();
  const { signal } = abort;
  let timer: NodeJS.Timeout | undefined;
  let { deadline } = call.request;
  const latest = Date.now() + Math.max(LONGEST_CALL_MS, timeoutMs);
  const finish = (end: CallEnd, effects?: Omit<ServerToolResult, 'result'>) => {
    if (signal.aborted) return;
    // A result that never can be stored ends the run: else it would wait for it.
    submit({ type: 'finishCall', callId, end, effects }).catch((error) => fail(call.request.runId, error));
  };

  /** Only its time ends it here: its result comes from the client. */
  const arm = () => {
    clearTimeout(timer);
    timer = setTimeout(() => finish(lateEnd(timeoutMs)), Math.min(Math.max(deadline - Date.now(), 0), MAX_TIMER_MS));
  };
  const run = async (): Promise<void> => {
    const ran = await withTimeout(timeoutMs, runHere(call, { sessionId, signal, timeoutMs, args }));
    finish(ran?.end ?? lateEnd(timeoutMs), ran?.effects);
  };
  if (tool.target === 'client') arm();
  else void run();

  return {
    get deadline() {
      return deadline;
    },
    extend() {
      deadline = Math.min(Date.now() + timeoutMs, latest);
      if (tool.target === 'client') arm();
    },
    abort() {
      clearTimeout(timer);
      abort.abort();
    },
  };
}

interface Ran {
  end: CallEnd;
  effects?: Omit<ServerToolResult, 'result'>;
}

interface RunOptions {
  sessionId: string;
  signal: AbortSignal;
  timeoutMs: number;
  args: Record<string, unknown>;
}

async function runHere({ tool }: ExecutingCall, { sessionId, signal, timeoutMs, args }: RunOptions): Promise<Ran> {
  try {
    if (tool.target === 'mcp') {
      const text = await tool.call(args, { signal, timeoutMs });
      return { end: { outcome: 'succeeded', text } };
    }
    if (tool.target !== 'server') throw new Error('It runs elsewhere.');
    const { result, ...effects } = await tool.execute(args, { sessionId, signal });
    return { end: { outcome: 'succeeded', text: result }, effects };
  } catch (error) {
    const isLate = error instanceof CodelabError && error.code === 'TOOL_TIMEOUT';
    return { end: { outcome: isLate ? 'timed_out' : 'failed', text: (error as Error).message } };
  }
}
