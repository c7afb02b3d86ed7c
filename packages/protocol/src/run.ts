import { z } from 'zod';
import { InputId, RunId, SessionId } from './ids.ts';
import { ModelName } from './session.ts';

/** Tokens. `cachedTokens` are part of `inputTokens`, `reasoningTokens` of `outputTokens`. */
export const Usage = z.object({
  inputTokens: z.int().nonnegative(),
  outputTokens: z.int().nonnegative(),
  cachedTokens: z.int().nonnegative(),
  reasoningTokens: z.int().nonnegative(),
});
export type Usage = z.infer<typeof Usage>;

/** An error inside an event: PROTOCOL.md §7. */
export const EventError = z.object({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  requestId: z.string(),
  retryAfterMs: z.number().optional(),
  details: z.unknown().optional(),
});

export const RunStatus = z.enum(['running', 'completed', 'cancelled', 'failed', 'limit']);

export const Run = z.object({
  runId: RunId,
  sessionId: SessionId,
  /** The input that it began with. */
  inputId: InputId,
  agent: z.string(),
  model: ModelName,
  status: RunStatus,
  steps: z.int().nonnegative(),
  usage: Usage,
  /** Of models that have a price. US dollars. */
  costUsd: z.number().nonnegative().optional(),
  error: EventError.optional(),
  startedAt: z.date(),
  finishedAt: z.date().optional(),
});
export type Run = z.infer<typeof Run>;

export const RunRef = z.object({ sessionId: SessionId, runId: RunId });

export const RunCancel = z.object({ sessionId: SessionId, runId: RunId.optional() });
export type RunCancel = z.infer<typeof RunCancel>;

export const UsageGet = z.object({ sessionId: SessionId.optional() });
export type UsageGet = z.infer<typeof UsageGet>;

/** What was used, by one session or by all. */
export interface UsageReport {
  usage: Usage;
  /** US dollars, of the steps whose model has a price. */
  costUsd: number;
  steps: number;
  byModel: Array<{ model: string; usage: Usage; costUsd: number; steps: number }>;
}
