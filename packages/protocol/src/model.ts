import { z } from 'zod';

export const Model = z.object({
  id: z.string().describe('The value to pass as `model`.'),
  provider: z.string(),
  name: z.string().describe("The provider's name for it."),
});
export type Model = z.infer<typeof Model>;

export const ModelList = z.object({
  models: z.array(Model).describe('The default model first.'),
  defaultModel: z.string(),
});
export type ModelList = z.infer<typeof ModelList>;
