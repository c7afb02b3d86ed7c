import {
  type Approval,
  type ApprovalDecide,
  type ApprovalOutcome,
  CodelabError,
  type FileChange,
  type Item,
  type RememberedRule,
  type Rule,
  type RuleAdd,
  type Session,
} from '@codelab/protocol';
import { hash } from './hash.ts';
import { withoutHunks } from './patch.ts';
import { judge } from './rules.ts';
import type { RunState } from './run-state.ts';
import type { RunSession, SessionDeps } from './session-types.ts';
import type { StoredApproval } from './store/store.ts';
import type { Write } from './store/writer.ts';
import { type OpenCall, resolutionOf, toAct } from './tool-calls.ts';
import { within } from './within.ts';

/** Of a session and its project together: each call is held against all of them. */
const MAX_RULES = 1_000;
const MAX_RULES_LENGTH = 256 * 1024;
const TAKE_UP_MS = 5_000;

/** What people decide on the calls of a session, and what of it is remembered. All of it is called under the session's mutex. */
export interface Decisions {
  decide(input: ApprovalDecide): Promise<{ status: 'resolved'; replayed: boolean }>;
  pending(): Promise<Approval[]>;
  rules(): Promise<RememberedRule[]>;
  addRule(rule: Omit<RuleAdd, 'sessionId'>): Promise<RememberedRule>;
  deleteRule(ruleId: string): Promise<{ deleted: boolean }>;
}

export interface DecisionsOptions {
  session: RunSession;
  deps: SessionDeps;
  active: () => RunState | undefined;
}

export function createDecisions({ session, deps, active }: DecisionsOptions): Decisions {
  const { store, agents, toolbox } = deps;
  const { writes } = store;
  const { sessionId } = session;

  const rules = (): Promise<RememberedRule[]> => store.rules(sessionId, session.session.project);
  const allRules = async (): Promise<Rule[]> => [...agents.find(session.session.agent).rules, ...(await rules())];

  const resolveApproval = async (
    call: OpenCall,
    decision: { decision: ApprovalOutcome; feedback?: string; args?: Record<string, unknown>; by: string },
    decidedWith: string,
    more: Write[] = [],
  ): Promise<void> => {
    const { approval } = call;
    // Its time may have ended, or its run, while the decision was looked at.
    if (approval?.isPending !== true) throw new CodelabError('APPROVAL_ALREADY_RESOLVED');
    const { item } = call.stored;
    const resolution = resolutionOf(decision.decision, decision.by);
    const toolCall = {
      ...(item.toolCall as NonNullable<Item['toolCall']>),
      arguments: decision.args ?? call.args,
      decision: resolution,
    };
    approval.isPending = false;
    try {
      call.storing = store.commit([
        writes.approval({ sessionId, approval: approval.approval, pending: false, decidedWith, resolution }),
        writes.item(sessionId, { ...call.stored, item: { ...item, toolCall } }),
        ...more,
      ]);
      await call.storing;
    } catch (error) {
      approval.isPending = true;
      throw error;
    }
    item.toolCall = toolCall;
    call.args = toolCall.arguments;
    session.emit({
      type: 'approval.resolved',
      callId: call.callId,
      decision: decision.decision,
      by: decision.by,
    });
    session.stateChanged();
    approval.decided.resolve({
      decision: decision.decision,
      ...(decision.feedback === undefined ? {} : { feedback: decision.feedback }),
    });
  };

  /** After a restart it takes a moment until the calls are known here. */
  const takenUp = () => within(TAKE_UP_MS, active()?.takenUp ?? Promise.resolve());

  /** What the store has of an approval that is not waiting here. */
  const knownDecision = async (callId: string): Promise<StoredApproval | undefined> => {
    if (active()?.calls.get(callId)?.approval?.isPending === true) return undefined;
    const known = await store.approval(sessionId, callId);
    if (known?.pending === true) await takenUp();
    return known;
  };

  /** Those that a new rule allows need nobody any more. */
  const applyRules = async (): Promise<void> => {
    const all = await allRules();
    for (const call of active()?.calls.values() ?? []) {
      if (call.approval?.isPending !== true || call.tool === undefined) continue;
      const act = toAct(call.tool, call.args, session.session.project);
      if (typeof act === 'string' || judge(act, all).effect !== 'allow') continue;
      await resolveApproval(call, { decision: 'allow', by: 'rule' }, JSON.stringify({ decision: 'allow' }));
    }
  };

  return {
    async decide({ callId, decision, scope, resource, arguments: edited, dropHunks, feedback, by }) {
      const decidedWith = JSON.stringify({ decision, edited, dropHunks, feedback });
      const known = await knownDecision(callId);
      const call = active()?.calls.get(callId);
      if (call?.approval?.isPending !== true) {
        if (known === undefined)
          throw new CodelabError(
            'NOT_FOUND',
            `No tool call "${callId}" of the session "${sessionId}" waits for a decision.`,
          );
        if (known.pending) throw new CodelabError('OVERLOADED', undefined, { retryAfterMs: 1000 });
        if (known.decidedWith === decidedWith) return { status: 'resolved', replayed: true };
        throw new CodelabError('APPROVAL_ALREADY_RESOLVED', undefined, {
          details: {
            decision: (JSON.parse(known.decidedWith ?? '{}') as { decision?: string }).decision,
            ...(known.resolution === undefined ? {} : { by: known.resolution.by }),
          },
        });
      }
      const { tool, approval } = call;
      if (tool === undefined || approval === undefined) throw new CodelabError('INTERNAL');
      let args = decision === 'edit' ? (edited as Record<string, unknown>) : undefined;
      let outcome: ApprovalOutcome = decision;
      if (decision === 'allow' && dropHunks !== undefined && dropHunks.length > 0) {
        const patch = call.args.patch;
        const changes = approval.approval.changes;
        if (typeof patch !== 'string' || changes === undefined)
          throw new CodelabError('VALIDATION', 'dropHunks is for patches, and this call has none.');
        const unknown = unknownHunks(changes, dropHunks);
        if (unknown.length > 0)
          throw new CodelabError('VALIDATION', `The patch has no hunk ${unknown.join(', ')}.`, {
            details: [{ path: 'dropHunks', message: 'names hunks that the patch does not have' }],
          });
        const rest = withoutHunks(patch, dropHunks);
        if (rest === undefined) outcome = 'reject';
        else args = { ...call.args, patch: rest };
      }
      if (args !== undefined) {
        const mistakes = await toolbox.mistakesOf(tool, args);
        if (mistakes !== undefined)
          throw new CodelabError('VALIDATION', `The arguments do not fit the tool's schema: ${mistakes}`, {
            details: [{ path: 'arguments', message: mistakes }],
          });
        const act = toAct(tool, args, session.session.project);
        if (typeof act === 'string') throw new CodelabError('VALIDATION', act);
        const verdict = judge(act, await allRules());
        if (verdict.effect === 'deny') throw new CodelabError('FORBIDDEN', verdict.reason);
      }
      const remembering = await rules();
      // A yes that can't be remembered is one for this once.
      const remembered = resource ?? approval.approval.options.find((option) => option.scope === scope)?.resource;
      const rule: RememberedRule | undefined =
        scope === 'once' || outcome === 'reject' || remembered === undefined || isFull(remembering)
          ? undefined
          : toRule(session.session, { scope, tool: call.name, resource: remembered, effect: 'allow' });
      await resolveApproval(
        call,
        {
          decision: outcome,
          by,
          ...(args === undefined ? {} : { args }),
          ...(feedback === undefined ? {} : { feedback }),
        },
        decidedWith,
        rule === undefined ? [] : [writes.rule(rule, sessionId, session.session.project)],
      );
      if (rule !== undefined) await applyRules();
      return { status: 'resolved', replayed: false };
    },

    async pending() {
      await takenUp();
      return [...(active()?.calls.values() ?? [])].flatMap(({ approval }) =>
        approval?.isPending === true ? [approval.approval] : [],
      );
    },

    rules,

    async addRule(added) {
      const rule = toRule(session.session, added);
      const known = await rules();
      if (isFull(known) && !known.some(({ ruleId }) => ruleId === rule.ruleId))
        throw new CodelabError(
          'VALIDATION',
          `The session and its project have too many rules, or too long ones: at most ${MAX_RULES}, and ${MAX_RULES_LENGTH / 1024} KiB in all. Delete some.`,
          { details: [{ path: 'resource', message: 'is one rule too many' }] },
        );
      await store.commit([writes.rule(rule, sessionId, session.session.project)]);
      await applyRules();
      return rule;
    },

    async deleteRule(ruleId) {
      if (!(await rules()).some((rule) => rule.ruleId === ruleId)) return { deleted: false };
      await store.commit([writes.deleteRule(ruleId)]);
      return { deleted: true };
    },
  };
}

function isFull(rules: RememberedRule[]): boolean {
  return rules.length >= MAX_RULES || rules.reduce((sum, { resource }) => sum + resource.length, 0) > MAX_RULES_LENGTH;
}

/** The same rule, remembered twice, is one. */
function toRule({ sessionId, project }: Session, rule: Omit<RuleAdd, 'sessionId'>): RememberedRule {
  const { tool, resource, effect, scope } = rule;
  const ruleId = `rule_${hash([scope === 'session' ? sessionId : project, tool, resource, effect, scope])}`;
  return { ruleId, tool, resource, effect, scope, createdAt: new Date() };
}

function unknownHunks(changes: FileChange[], hunks: number[]): number[] {
  const known = new Set(changes.flatMap((change) => change.hunks.map(({ hunk }) => hunk)));
  return hunks.filter((hunk) => !known.has(hunk));
}
