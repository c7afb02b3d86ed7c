import { z } from 'zod';
import { MAX_GLOB_LENGTH } from './glob.ts';
import { CallId, RuleId, RunId, SessionId } from './ids.ts';
import { isDeeperThan, MAX_VALUE_DEPTH } from './json-depth.ts';
import { JsonObject } from './json-object.ts';
import { ApprovalDecision, ToolKind, ToolTarget } from './tool.ts';

export const RuleEffect = z.enum(['allow', 'deny', 'ask']);
export type RuleEffect = z.infer<typeof RuleEffect>;

const Glob = z.string().min(1).max(MAX_GLOB_LENGTH);

/** What may be done without asking, and what not at all. PROTOCOL.md §10. */
export const Rule = z.object({
  /** A tool's name; `*` stands for any run of characters. */
  tool: Glob,
  /** A glob over what the tool works on: a path, a command. A leading `!` turns it round. Default: everything. */
  resource: Glob.default('**'),
  effect: RuleEffect,
});
export type Rule = z.infer<typeof Rule>;

const RuleScope = z.enum(['session', 'project']);

export const RememberedRule = Rule.extend({ ruleId: RuleId, scope: RuleScope, createdAt: z.date() });
export type RememberedRule = z.infer<typeof RememberedRule>;

export const RuleAdd = Rule.extend({ sessionId: SessionId, scope: RuleScope.default('session') });
export type RuleAdd = z.infer<typeof RuleAdd>;

export const RuleRef = z.object({ sessionId: SessionId, ruleId: RuleId });
export type RuleRef = z.infer<typeof RuleRef>;

/** One file of a patch, in hunks that a person may leave out. */
export const FileChange = z.object({
  path: z.string(),
  change: z.enum(['create', 'modify', 'delete']),
  hunks: z.array(
    z.object({
      /** Counts the hunks of the whole patch, from 0: what `dropHunks` names. */
      hunk: z.int().nonnegative(),
      header: z.string(),
      lines: z.array(z.string()),
    }),
  ),
});
export type FileChange = z.infer<typeof FileChange>;

const TOO_DEEP = `arguments must not be nested more than ${MAX_VALUE_DEPTH} deep`;

const DecisionScope = z.enum(['once', 'session', 'project']);

/** What the person may choose, and what would be remembered: there is no `session` and no `project` where a yes can only be for once. */
const ApprovalOption = z.object({ scope: DecisionScope, resource: z.string().optional() });

/** A tool call that waits for a person. */
export const Approval = z.object({
  callId: CallId,
  runId: RunId,
  name: z.string(),
  arguments: JsonObject,
  kind: ToolKind,
  target: ToolTarget,
  /** Why somebody is asked, for a person. */
  reason: z.string(),
  options: z.array(ApprovalOption),
  /** Of a patch: what it would change. */
  changes: z.array(FileChange).optional(),
  createdAt: z.date(),
  /** When it counts as rejected. */
  deadline: z.date(),
});
export type Approval = z.infer<typeof Approval>;

export const ApprovalDecide = z
  .object({
    sessionId: SessionId,
    callId: CallId,
    decision: ApprovalDecision,
    /** Remembers a yes as a rule. */
    scope: DecisionScope.default('once'),
    /** The glob of that rule. Default: as `options` says. */
    resource: Glob.optional(),
    /** Of `edit`: the arguments to use instead. */
    arguments: JsonObject.refine((value) => !isDeeperThan(MAX_VALUE_DEPTH, value), TOO_DEEP)
      .meta({ type: 'object', additionalProperties: true })
      .optional(),
    /** Of a patch, with `allow`: the hunks to leave out. */
    dropHunks: z.array(z.int().nonnegative()).max(10_000).optional(),
    /** Why, for the model. */
    feedback: z.string().max(32_768).optional(),
    /** Who decided, for those who watch. */
    by: z.string().min(1).max(128).default('user'),
  })
  .refine((value) => value.decision !== 'edit' || value.arguments !== undefined, {
    message: 'edit needs arguments',
    path: ['arguments'],
  });
export type ApprovalDecide = z.infer<typeof ApprovalDecide>;
