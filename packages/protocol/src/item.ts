import { z } from 'zod';
import { FileChange } from './file-change.ts';
import { CallId, InputId, ItemId, RunId } from './ids.ts';
import { ToolCallInfo } from './tool.ts';

export const PlanEntry = z.object({
  text: z.string().min(1).max(1000),
  status: z.enum(['pending', 'in_progress', 'completed']),
});
export type PlanEntry = z.infer<typeof PlanEntry>;

/** Describes an input's attachment, without its content. */
export const AttachmentInfo = z.object({ name: z.string(), mimeType: z.string(), bytes: z.int() });

export const ItemKind = z.enum([
  'user_message',
  'assistant_message',
  'reasoning',
  'tool_call',
  'file_change',
  'plan',
  'compaction',
  'agent_switch',
  'notice',
]);
export type ItemKind = z.infer<typeof ItemKind>;

export const Item = z
  .object({
    itemId: ItemId,
    runId: RunId.or(z.literal('')).describe('The run that it belongs to; empty for what happened between runs.'),
    step: z.int().nonnegative().describe("The run's step that it belongs to, from 1; 0: none."),
    inputId: InputId.optional().describe('Of a `user_message`: the input that it came with.'),
    kind: ItemKind,
    text: z
      .string()
      .describe('The text; of a `tool_call` the arguments as the model wrote them, of a `compaction` the summary.'),
    status: z
      .enum(['in_progress', 'completed', 'incomplete'])
      .describe('`incomplete`: the run was cancelled or failed before the item was whole.'),
    createdAt: z.date(),
    attachments: z.array(AttachmentInfo).optional(),
    toolCall: ToolCallInfo.optional(),
    fileChange: z.object({ callId: CallId, changes: z.array(FileChange) }).optional(),
    plan: z.array(PlanEntry).optional(),
    compaction: z
      .object({ tokensBefore: z.int(), tokensAfter: z.int() })
      .optional()
      .describe("The size of the model's context before and after, in tokens; an estimate."),
    agentSwitch: z
      .object({ from: z.string(), to: z.string(), reason: z.string(), by: z.enum(['user', 'model']) })
      .optional(),
  })
  .describe('One entry of the history that a person sees.');
export type Item = z.infer<typeof Item>;

export const ItemPage = z
  .object({
    items: z.array(Item).describe('Oldest first.'),
    nextCursor: z.string().exactOptional().describe('Set while there are older items: pass it as `cursor`.'),
  })
  .describe('A part of the history.');
export type ItemPage = z.infer<typeof ItemPage>;
