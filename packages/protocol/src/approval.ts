import { z } from 'zod';
import { FileChange } from './file-change.ts';
import { changesBytes, MAX_CHANGES_BYTES } from './file-hunks.ts';
import { MAX_GLOB_LENGTH } from './glob.ts';
import { CallId, ClientId, RuleId, RunId, SessionId } from './ids.ts';
import { isDeeperThan, MAX_VALUE_DEPTH } from './json-depth.ts';
import { JsonObject } from './json-object.ts';
import { ApprovalDecision, ToolKind, ToolTarget } from './tool.ts';

export const RuleEffect = z.enum(['allow', 'deny', 'ask']);
export type RuleEffect = z.infer<typeof RuleEffect>;

const Glob = z.string().min(1).max(MAX_GLOB_LENGTH);

/** Says what may be done without asking, and what not at all. PROTOCOL.md §10. */
export const Rule = z.object({
  tool: Glob.describe("A tool's name; `*` stands for any run of characters."),
  resource: Glob.default('**').describe(
    'A glob over what the tool works on: a path, a command. A leading `!` negates it. Default: everything.',
  ),
  effect: RuleEffect,
});
export type Rule = z.infer<typeof Rule>;

const RuleScope = z.enum(['session', 'project']);

export const RememberedRule = Rule.extend({ ruleId: RuleId, scope: RuleScope, createdAt: z.date() }).describe(
  'Allows calls without asking (`allow`), or denies them (`deny`). For commands a rule is a convenience, not a boundary: the same can be written in a hundred ways.',
);
export type RememberedRule = z.infer<typeof RememberedRule>;

export const RuleAdd = Rule.extend({ sessionId: SessionId, scope: RuleScope.default('session') });
export type RuleAdd = z.infer<typeof RuleAdd>;

export const RuleRef = z.object({ sessionId: SessionId, ruleId: RuleId });
export type RuleRef = z.infer<typeof RuleRef>;

const TOO_DEEP = `arguments must not be nested more than ${MAX_VALUE_DEPTH} deep`;

const DecisionScope = z.enum(['once', 'session', 'project']);

/** The choices of the person, and what each would remember: there is no `session` and no `project` where a yes can only be for once. */
const ApprovalOption = z.object({ scope: DecisionScope, resource: z.string().optional() });

export const Approval = z
  .object({
    callId: CallId,
    runId: RunId,
    name: z.string(),
    arguments: JsonObject,
    kind: ToolKind,
    target: ToolTarget,
    reason: z.string().describe('The reason for asking, for a person.'),
    options: z
      .array(ApprovalOption)
      .describe(
        'The possible scopes, and the glob that a remembered approval would allow. Only `once`: such calls are asked for each time.',
      ),
    changes: z
      .array(FileChange)
      .optional()
      .describe(
        'Of `apply_patch`: its changes. Of another tool of a client: the changes that it foresees, once it has said so (`approval.updated`).',
      ),
    preview: z
      .object({
        paths: z.array(z.string()).optional().describe('The normalized paths that the rules were checked for.'),
        denied: z
          .array(z.string())
          .optional()
          .describe(
            'Globs of the paths that rules deny to this tool, or to `read_file`: nothing of them may be shown.',
          ),
        root: z
          .string()
          .optional()
          .describe("The session's project, where that is a path: the folder of relative paths, for absolute globs."),
      })
      .optional()
      .describe(
        'Set where the client that has the tool may say what the call would change: `approval.preview`. The paths and rules that it keeps to.',
      ),
    createdAt: z.date(),
    deadline: z.date().describe('The time after which it counts as rejected.'),
  })
  .describe('A tool call that waits for a person.');
export type Approval = z.infer<typeof Approval>;

export const ApprovalDecide = z
  .object({
    sessionId: SessionId,
    callId: CallId,
    decision: ApprovalDecision,
    scope: DecisionScope.default('once').describe('Remembers the approval as a rule.'),
    resource: Glob.optional().describe('The glob of that rule. Default: as `options` says.'),
    arguments: JsonObject.optional().describe('Of `edit`: the arguments to use instead.'),
    dropHunks: z
      .array(z.int().nonnegative())
      .max(10_000)
      .optional()
      .describe('Of `apply_patch`, with `allow`: the hunks to leave out.'),
    feedback: z.string().max(32_768).optional().describe('The reason, for the model.'),
    by: z.string().min(1).max(128).default('user').describe('The name of the person who decides, for watchers.'),
  })
  .refine((value) => value.decision !== 'edit' || value.arguments !== undefined, {
    message: 'edit needs arguments',
    path: ['arguments'],
  })
  .refine((value) => !isDeeperThan(MAX_VALUE_DEPTH, value.arguments), { message: TOO_DEEP, path: ['arguments'] });
export type ApprovalDecide = z.infer<typeof ApprovalDecide>;

export const ApprovalDecided = z.object({
  status: z.literal('resolved'),
  replayed: z.boolean().describe('True where the same was decided before.'),
});

export const ApprovalPreview = z.object({
  sessionId: SessionId,
  callId: CallId,
  clientId: ClientId.describe('The client that would run the call.'),
  changes: z
    .array(FileChange)
    .min(1)
    .refine((changes) => changesBytes(changes) <= MAX_CHANGES_BYTES, 'changes must have at most 256 KiB as JSON')
    .refine(
      (changes) => changes.every(({ hunks }) => hunks.every(({ lines }) => lines.every((line) => LINE.test(line)))),
      'each line must begin with a space, +, - or \\, and be one line',
    )
    .describe('The changes that the call would make; they replace those that were given before. At most 256 KiB.'),
});
export type ApprovalPreview = z.infer<typeof ApprovalPreview>;

const LINE = /^[ +\-\\][^\n]*$/;

export const PreviewTaken = z.object({
  status: z.literal('accepted'),
  replayed: z.boolean().describe('True where the approval had these changes before.'),
});

export const ApprovalList = z.object({ approvals: z.array(Approval) });

export const RuleAdded = z.object({ rule: RememberedRule });

export const RuleList = z.object({ rules: z.array(RememberedRule) });
