import { timerMs } from '../lib/timer-ms.ts';
import type { Input } from '../machine/session-machine.ts';
import type { CallState } from '../machine/state.ts';
import type { ServerToolResult } from '../tools/server-tool.ts';
import { type CallEnd, lateEnd } from '../tools/tool-call.ts';
import type { CallOptions } from '../tools/tool-registry.ts';

/** The limit of a call that reports progress. */
const LONGEST_CALL_MS = 3_600_000;

export type ExecutingCall = Extract<CallState, { is: 'executing' }>;

/** A call whose tool is at work. */
export interface Execution {
  /** When it counts as failed. Milliseconds since 1970. */
  readonly deadline: number;
  /** The client that runs it. */
  readonly clientId: string | undefined;
  /** Gives the call its whole time again. */
  extend(): void;
  abort(): void;
}

export interface ExecutionOptions {
  call: ExecutingCall;
  sessionId: string;
  timeoutMs: number;
  /** Stores what came of it. */
  submit(input: Input): Promise<void>;
  /** Shows how far an MCP server's tool is. */
  showProgress(progress: { callId: string; message: string; fraction?: number }): void;
  /** Ends the run as failed, as soon as that can be stored. */
  fail(runId: string, error: unknown): Promise<void>;
}

export function startExecution({
  call,
  sessionId,
  timeoutMs,
  submit,
  showProgress,
  fail,
}: ExecutionOptions): Execution {
  const { callId, tool, args } = call;
  const abort = new AbortController();
  const { signal } = abort;
  let timer: NodeJS.Timeout | undefined;
  const longestMs = Math.max(LONGEST_CALL_MS, timeoutMs);
  const latest = Date.now() + longestMs;
  let deadline = tool.target === 'client' ? call.request.deadline : Date.now() + timeoutMs;
  const finish = (end: CallEnd, effects?: Omit<ServerToolResult, 'result'>) => {
    if (signal.aborted) return;
    // A result that never can be stored ends the run: else it would wait for it.
    submit({ type: 'finishCall', callId, end, effects }).catch((error) => fail(call.request.runId, error));
  };

  const arm = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      finish(lateEnd(deadline === latest ? longestMs : timeoutMs));
      abort.abort();
    }, timerMs(deadline));
  };
  const extend = () => {
    if (signal.aborted) return;
    deadline = Math.min(Date.now() + timeoutMs, latest);
    arm();
  };
  const onProgress = (message: string, fraction?: number) => {
    if (signal.aborted) return;
    extend();
    showProgress({ callId, message, ...(fraction === undefined ? {} : { fraction }) });
  };
  arm();
  // A client's result comes from outside.
  if (tool.target !== 'client')
    void runHere(call, { sessionId, signal, timeoutMs, args, onProgress }).then(({ end, effects }) => {
      finish(end, effects);
      clearTimeout(timer);
    });

  return {
    clientId: call.request.clientId,
    get deadline() {
      return deadline;
    },
    extend,
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

interface RunOptions extends CallOptions {
  sessionId: string;
  args: Record<string, unknown>;
}

async function runHere({ tool }: ExecutingCall, { sessionId, args, ...options }: RunOptions): Promise<Ran> {
  try {
    if (tool.target === 'mcp') return { end: { outcome: 'succeeded', ...(await tool.call(args, options)) } };
    if (tool.target !== 'server') throw new Error('It runs elsewhere.');
    const { result, ...effects } = await tool.execute(args, { sessionId, signal: options.signal });
    return { end: { outcome: 'succeeded', text: result }, effects };
  } catch (error) {
    return { end: { outcome: 'failed', text: (error as Error).message } };
  }
}
