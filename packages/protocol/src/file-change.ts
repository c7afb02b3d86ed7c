import { z } from 'zod';

export const FileChange = z
  .object({
    path: z.string(),
    change: z.enum(['create', 'modify', 'delete']),
    hunks: z.array(
      z.object({
        hunk: z
          .int()
          .nonnegative()
          .describe('The number of the hunk over all files, from 0; of a patch as `dropHunks` takes it.'),
        header: z.string(),
        lines: z
          .array(z.string())
          .describe('Each begins with a space, `+` or `-`; with `\\` where it remarks on the line before.'),
      }),
    ),
    omitted: z
      .enum(['binary', 'too_large'])
      .optional()
      .describe('The reason why there are no hunks, though the content changes.'),
  })
  .describe('The change of one file, in hunks. Those of a patch a person may leave out.');
export type FileChange = z.infer<typeof FileChange>;
