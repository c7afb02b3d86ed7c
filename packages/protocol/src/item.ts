import { z } from 'zod';
import { InputId, ItemId, RunId } from './ids.ts';

/** One entry of what a person sees of a session. */
export const Item = z.object({
  itemId: ItemId,
  runId: RunId,
  /** Of a `user_message`: the input that it came with. */
  inputId: InputId.optional(),
  kind: z.enum(['user_message', 'assistant_message', 'reasoning']),
  text: z.string(),
  /** `incomplete`: the run was cancelled or failed before the item was whole. */
  status: z.enum(['in_progress', 'completed', 'incomplete']),
  createdAt: z.date(),
});
export type Item = z.infer<typeof Item>;

export interface ItemPage {
  /** Oldest first. */
  items: Item[];
  /** Set while there are older items: pass it as `cursor`. */
  nextCursor?: string;
}
