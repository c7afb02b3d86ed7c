import {
  type ApprovalDecide,
  type ApprovalOutcome,
  type ApprovalPreview,
  CodelabError,
  type FileChange,
  normalizeProject,
  type RememberedRule,
  type Rule,
  type RuleAdd,
  type Session,
  wholePart,
} from '@codelab/protocol';
import { fingerprint } from '@codelab/service-kit';
import type { ResultDecision } from '../machine/call-machine.ts';
import type { Inputs } from '../machine/session-machine.ts';
import type { CallState, SessionState } from '../machine/state.ts';
import { withoutHunks } from '../policy/patch.ts';
import { evaluate } from '../policy/policy.ts';
import { toToolAction } from '../tools/tool-call.ts';
import type { SessionDeps } from './session-types.ts';

/** Of a session and its project together: each call is held against all of them. */
const MAX_RULES = 1_000;
const MAX_RULES_LENGTH = 256 * 1024;
/** Of a person's words on a decision. UTF-16 code units. */
const MAX_FEEDBACK = 32_768;

export interface ApprovalsOptions {
  deps: SessionDeps;
  /** The remembered ones. */
  rules(): Promise<RememberedRule[]>;
}

/**
 * Checks what a person decided on a call. Returns it as the machine takes it, or undefined where the same was decided before.
 * Throws `NOT_FOUND`, `APPROVAL_ALREADY_RESOLVED`, `VALIDATION`, and `FORBIDDEN` where a rule denies what was edited.
 */
export async function checkDecision(
  state: SessionState,
  { callId, decision, scope: asked, resource, arguments: edited, dropHunks, feedback, by }: ApprovalDecide,
  { deps, rules }: ApprovalsOptions,
): Promise<Inputs['decide'] | undefined> {
  const { session } = state.stored;
  const decisionJson = JSON.stringify({ decision, edited, dropHunks, feedback });
  // A session without a project is its own.
  const scope = asked === 'project' && session.project === '' ? 'session' : asked;
  const call = state.run?.calls.find((each) => each.callId === callId);
  if (call?.is !== 'awaiting_approval') return checkRepetition(session.sessionId, callId, decisionJson, deps);
  const { outcome, args } = toOutcome(call, { decision, edited, dropHunks });
  const remembering = await rules();
  if (args !== undefined)
    await checkArguments(call, args, session.project, [...deps.agents.find(session.agent).rules, ...remembering], deps);
  // A yes that can't be remembered is one for this once.
  const remembered = resource ?? call.approval.options.find((option) => option.scope === scope)?.resource;
  const rule =
    scope === 'once' || outcome === 'reject' || remembered === undefined || isFull(remembering)
      ? undefined
      : toRule(session, { scope, tool: call.name, resource: remembered, effect: 'allow' });
  return { callId, decision: outcome, by, decisionJson, args, feedback, rule };
}

/** Returns the decision that the result of a call is: a yes, or, of an error, a no with it as feedback. */
export function toResultDecision(error: string | undefined): ResultDecision {
  const feedback = error === undefined ? undefined : wholePart(error, 0, MAX_FEEDBACK);
  const decision = error === undefined ? 'allow' : 'reject';
  return { decision, by: 'user', decisionJson: JSON.stringify({ decision, feedback }), feedback };
}

/**
 * Checks what a client says that a call would change. Returns it as the machine takes it. Throws `NOT_FOUND`, and `APPROVAL_ALREADY_RESOLVED` where nobody is
 * asked any more.
 */
export async function checkPreview(
  state: SessionState,
  { callId, clientId, changes }: ApprovalPreview,
  { store }: Pick<SessionDeps, 'store'>,
): Promise<Inputs['preview']> {
  const { sessionId } = state.stored.session;
  const call = state.run?.calls.find((each) => each.callId === callId);
  if (call?.is !== 'awaiting_approval' && (await store.approval(sessionId, callId)) === undefined)
    throw new CodelabError('NOT_FOUND', `No tool call "${callId}" of the session "${sessionId}" waits for a decision.`);
  let hunk = 0;
  const numbered = changes.map((each) => ({ ...each, hunks: each.hunks.map((one) => ({ ...one, hunk: hunk++ })) }));
  return { callId, clientId, changes: numbered };
}

async function checkRepetition(
  sessionId: string,
  callId: string,
  decisionJson: string,
  { store }: SessionDeps,
): Promise<undefined> {
  const known = await store.approval(sessionId, callId);
  if (known === undefined)
    throw new CodelabError('NOT_FOUND', `No tool call "${callId}" of the session "${sessionId}" waits for a decision.`);
  if (known.pending) throw new CodelabError('OVERLOADED', undefined, { retryAfterMs: 1000 });
  if (known.decisionJson === decisionJson) return undefined;
  throw new CodelabError('APPROVAL_ALREADY_RESOLVED', undefined, {
    details: {
      decision: (JSON.parse(known.decisionJson ?? '{}') as { decision?: string }).decision,
      ...(known.resolution === undefined ? {} : { by: known.resolution.by }),
    },
  });
}

type Awaiting = Extract<CallState, { is: 'awaiting_approval' }>;

/** Returns the decision and the arguments as they come to be: a patch may lose hunks, or all of them. */
function toOutcome(
  { name, args, approval }: Awaiting,
  {
    decision,
    edited,
    dropHunks = [],
  }: {
    decision: ApprovalDecide['decision'];
    edited: ApprovalDecide['arguments'];
    dropHunks: ApprovalDecide['dropHunks'];
  },
): { outcome: ApprovalOutcome; args?: Record<string, unknown> | undefined } {
  if (decision === 'edit') return { outcome: decision, args: edited };
  if (decision !== 'allow' || dropHunks.length === 0) return { outcome: decision };
  const { patch } = args;
  const { changes } = approval;
  // The hunks of a preview are no part of its arguments: there is nothing to leave them out of.
  if (name !== 'apply_patch' || typeof patch !== 'string' || changes === undefined)
    throw new CodelabError('VALIDATION', 'dropHunks is for patches, and this call has none.');
  const unknown = unknownHunks(changes, dropHunks);
  if (unknown.length > 0)
    throw new CodelabError('VALIDATION', `The patch has no hunk ${unknown.join(', ')}.`, {
      details: [{ path: 'dropHunks', message: 'names hunks that the patch does not have' }],
    });
  const rest = withoutHunks(patch, dropHunks);
  return rest === undefined ? { outcome: 'reject' } : { outcome: 'allow', args: { ...args, patch: rest } };
}

async function checkArguments(
  { tool }: Awaiting,
  args: Record<string, unknown>,
  project: string,
  rules: Rule[],
  { registry }: SessionDeps,
): Promise<void> {
  const invalid = await registry.validateArguments(tool, args);
  if (invalid !== undefined)
    throw new CodelabError('VALIDATION', `The arguments do not fit the tool's schema: ${invalid}`, {
      details: [{ path: 'arguments', message: invalid }],
    });
  const act = toToolAction(tool, args, project);
  if (typeof act === 'string') throw new CodelabError('VALIDATION', act);
  const verdict = evaluate(act, rules);
  if (verdict.effect === 'deny') throw new CodelabError('FORBIDDEN', verdict.reason);
}

/** Returns the rule as it is remembered. Throws `VALIDATION` where there is no room for it, or no project that it could be of. */
export function checkRule(
  session: Session,
  added: Omit<RuleAdd, 'sessionId'>,
  known: RememberedRule[],
): RememberedRule {
  if (added.scope === 'project' && session.project === '')
    throw new CodelabError('VALIDATION', 'The session has no project that a rule could be of.', {
      details: [{ path: 'scope', message: 'must be session: the session has no project' }],
    });
  const rule = toRule(session, added);
  if (isFull(known) && !known.some(({ ruleId }) => ruleId === rule.ruleId))
    throw new CodelabError(
      'VALIDATION',
      `The session and its project have too many rules, or too long ones: at most ${MAX_RULES}, and ${MAX_RULES_LENGTH / 1024} KiB in all. Delete some.`,
      { details: [{ path: 'resource', message: 'is one rule too many' }] },
    );
  return rule;
}

function isFull(rules: RememberedRule[]): boolean {
  return rules.length >= MAX_RULES || rules.reduce((sum, { resource }) => sum + resource.length, 0) > MAX_RULES_LENGTH;
}

/** Returns a session's own rules as another's: each has an id of its own, so that neither is deleted with the other. */
export function copyRules(to: Session, rules: RememberedRule[]): RememberedRule[] {
  return rules
    .filter(({ scope }) => scope === 'session')
    .map(({ createdAt, ...rule }) => ({ ...toRule(to, rule), createdAt }));
}

/** The same rule, remembered twice, is one. */
function toRule({ sessionId, project }: Session, rule: Omit<RuleAdd, 'sessionId'>): RememberedRule {
  const { tool, resource, effect, scope } = rule;
  const ruleId = `rule_${fingerprint([scope === 'session' ? sessionId : normalizeProject(project), tool, resource, effect, scope])}`;
  return { ruleId, tool, resource, effect, scope, createdAt: new Date() };
}

function unknownHunks(changes: FileChange[], hunks: number[]): number[] {
  const known = new Set(changes.flatMap((change) => change.hunks.map(({ hunk }) => hunk)));
  return hunks.filter((hunk) => !known.has(hunk));
}
