import type { FinishReason } from '@codelab/protocol';

/** Finish reasons other than `stop`, in the words of either wire's servers and of those behind them. */
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
// Anthropic pauses a long turn and expects a request to go on: the answer is cut.
ENDS.set('pause_turn', 'length');

/** Returns the reason if it is one; undefined while the answer goes on: some servers send an empty reason, or the word null, until then. */
export function endReason(reason: unknown): string | undefined {
  return typeof reason === 'string' && reason !== '' && reason !== 'null' ? reason : undefined;
}

/** Converts a reason that is no failure. An unknown one is `stop`: servers invent new ones. */
export function finishReasonOf(reason: string): FinishReason {
  const end = ENDS.get(reason.toLowerCase());
  return end === undefined || end === 'failure' ? 'stop' : end;
}

/** True if the reason says that the server failed, or was stopped. */
export function isFailure(reason: unknown): boolean {
  return typeof reason === 'string' && ENDS.get(reason.toLowerCase()) === 'failure';
}
