import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Input } from '../machine/session-machine.ts';
import type { CallOptions } from '../tools/tool-registry.ts';
import { type ExecutingCall, startExecution } from './execution.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Starts a call of an MCP server's tool that says how far it is each `every` ms, and answers after `answerMs`. */
function start({ timeoutMs, every, answerMs }: { timeoutMs: number; every: number; answerMs: number }) {
  const submitted: Input[] = [];
  const shown: object[] = [];
  let signal: AbortSignal | undefined;
  const call = async (_: object, options: CallOptions) => {
    signal = options.signal;
    const ticking = setInterval(() => options.onProgress('on', 0.5), every);
    await new Promise((resolve) => setTimeout(resolve, answerMs));
    clearInterval(ticking);
    return { text: 'done' };
  };
  const tool = { name: 't', description: '', inputSchema: { type: 'object' }, kind: 'read', target: 'mcp', call };
  startExecution({
    call: { callId: 'c', tool, args: {}, request: { runId: 'r', deadline: 0 } } as unknown as ExecutingCall,
    sessionId: 's',
    timeoutMs,
    submit: async (input) => void submitted.push(input),
    showProgress: (progress) => void shown.push(progress),
    fail: async () => {},
  });
  const end = () => submitted.map((input) => (input.type === 'finishCall' ? input.end : input));
  return { end, shown, isAborted: () => signal?.aborted };
}

it('progress gives a call its whole time again, and is shown', async () => {
  const { end, shown } = start({ timeoutMs: 1_000, every: 900, answerMs: 5_000 });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(end()).toEqual([{ outcome: 'succeeded', text: 'done' }]);
  expect(shown).toEqual(Array(5).fill({ callId: 'c', message: 'on', fraction: 0.5 }));
});

it.each([
  ['without a word', 1_000, 1_000, 'The tool did not answer within 1 s. It may still be running.'],
  ['in all, whatever it says', 900, 3_600_000, 'The tool did not answer within 3600 s. It may still be running.'],
])('a call ends after its time %s, and is aborted', async (_, every, lateMs, text) => {
  const { end, isAborted } = start({ timeoutMs: 1_000, every: every + 1, answerMs: 4_000_000 });
  await vi.advanceTimersByTimeAsync(lateMs - 1);
  expect(end()).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(end()).toEqual([{ outcome: 'timed_out', text }]);
  expect(isAborted()).toBe(true);
  await vi.advanceTimersByTimeAsync(4_000_000);
  expect(end()).toHaveLength(1);
});
