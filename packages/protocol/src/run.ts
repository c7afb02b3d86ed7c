import { z } from 'zod';
import { InputId, RunId, SessionId } from './ids.ts';
import { ModelName } from './session.ts';
import { WireError } from './wire-error.ts';

export const Usage = z
  .object({
    inputTokens: z.int().nonnegative(),
    outputTokens: z.int().nonnegative(),
    cachedTokens: z.int().nonnegative().describe("Read from the provider's cache; part of `inputTokens`."),
    cacheWriteTokens: z
      .int()
      .nonnegative()
      .describe("Written to the provider's cache; part of `inputTokens`. The rest of those is fresh."),
    reasoningTokens: z.int().nonnegative().describe('Part of `outputTokens`.'),
  })
  .describe('Tokens.');
export type Usage = z.infer<typeof Usage>;

const RunStatus = z.enum(['running', 'completed', 'cancelled', 'failed', 'limit']);

export const RunEnd = RunStatus.exclude(['running']).describe(
  'The end of a run. `limit`: the context was full, or the run had too many steps.',
);

export const Run = z
  .object({
    runId: RunId,
    sessionId: SessionId,
    inputId: InputId.describe('The input that it began with.'),
    agent: z.string(),
    model: ModelName,
    status: RunStatus,
    steps: z.int().nonnegative(),
    usage: Usage,
    costUsd: z.number().nonnegative().optional().describe('Of models that have a price. US dollars.'),
    error: WireError.optional(),
    startedAt: z.date(),
    finishedAt: z.date().optional(),
  })
  .describe("The agent's work on one or more messages, until it is idle again.");
export type Run = z.infer<typeof Run>;

export const RunRef = z.object({ sessionId: SessionId, runId: RunId });

export const RunCancel = z.object({ sessionId: SessionId, runId: RunId.optional() });
export type RunCancel = z.infer<typeof RunCancel>;

export const RunCancelled = z.object({ status: z.enum(['cancelling', 'already_finished']) });

export const UsageGet = z.object({ sessionId: SessionId.optional() });
export type UsageGet = z.infer<typeof UsageGet>;

const cost = { costUsd: z.number().describe('US dollars, of the steps whose model has a price.'), steps: z.int() };

export const UsageReport = z
  .object({ usage: Usage, ...cost, byModel: z.array(z.object({ model: z.string(), usage: Usage, ...cost })) })
  .describe('The usage of one session, or of all.');
export type UsageReport = z.infer<typeof UsageReport>;
