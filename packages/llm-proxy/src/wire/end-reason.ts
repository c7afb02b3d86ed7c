import type { FinishReason } from '@codelab/protocol';

/** What servers of either wire, and those behind them, call an end that is not just `stop`. */
const ENDS = new Map<string, FinishReason | 'failure'>(
  Object.entries({
    length: [
      'length',
      'max_tokens',
      'max_output_tokens',
      'max_length',
      'model_length',
      'model_context_window_exceeded',
    ],
    tool_calls: ['tool_calls', 'tool_call', 'tool_use', 'function_call'],
    content_filter: [
      ...['content_filter', 'content_filtered', 'refusal', 'safety', 'image_safety', 'recitation'],
      ...['blocklist', 'prohibited_content', 'spii', 'guardrail_intervened', 'error_toxic'],
    ],
    failure: [
      ...['error', 'abort', 'aborted', 'cancelled', 'canceled', 'user_cancel', 'failed', 'failure', 'timeout'],
      ...['internal_error', 'server_error', 'insufficient_system_resource', 'malformed_function_call'],
    ],
  } satisfies Partial<Record<FinishReason | 'failure', string[]>>).flatMap(([end, words]) =>
    words.map((word) => [word, end as FinishReason | 'failure'] as const),
  ),
);
// Anthropic stops in the middle of a turn, and is to be asked to go on: the answer is not all.
ENDS.set('pause_turn', 'length');

/** Returns why an answer ended; undefined where it goes on: some servers send an empty reason, or the word null, with each event. */
export function endReason(reason: unknown): string | undefined {
  return typeof reason === 'string' && reason !== '' && reason !== 'null' ? reason : undefined;
}

/** Returns what an end means that is no failure. A word that nobody knows is a normal end: there are more of them each month. */
export function finishReasonOf(reason: string): FinishReason {
  const end = ENDS.get(reason.toLowerCase());
  return end === undefined || end === 'failure' ? 'stop' : end;
}

/** Says whether an answer ended because whoever wrote it failed, or was made to stop. */
export function isFailure(reason: unknown): boolean {
  return typeof reason === 'string' && ENDS.get(reason.toLowerCase()) === 'failure';
}
