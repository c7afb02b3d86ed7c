import { z } from 'zod';

export const Model = z.object({
  /** What to pass as `model`. */
  id: z.string(),
  provider: z.string(),
  /** What the provider calls it. */
  name: z.string(),
});
export type Model = z.infer<typeof Model>;

export interface ModelList {
  /** The default model first. */
  models: Model[];
  defaultModel: string;
}
