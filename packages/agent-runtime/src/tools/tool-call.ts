import {
  type Approval,
  type ApprovalOutcome,
  type Attachment,
  type Item,
  MAX_VALUE_DEPTH,
  normalizePath,
  type Resolution,
  type Rule,
  type ToolOutcome,
  wholePart,
} from '@codelab/protocol';
import { jsonDepthExceeds } from '@codelab/service-kit';
import type { Agent } from '../agents/agents.ts';
import { changesOf } from '../policy/patch.ts';
import { deniedPaths, evaluate, rememberedResource, rootsOf, type ToolAction } from '../policy/policy.ts';
import type { Tool, ToolRegistry } from './tool-registry.ts';

/** A longer result is shortened to its beginning and its end. UTF-16 code units. */
const SHOWN_HEAD = 24 * 1024;
const SHOWN_TAIL = 8 * 1024;
/** The limit of one call. */
const MAX_RESOURCES = 1_000;

/** A call of a step, checked. */
export interface PreparedCall {
  callId: string;
  tool: Tool | undefined;
  args: Record<string, unknown>;
  /** Set where the call is not made. */
  end: CallEnd | undefined;
  approval: Approval | undefined;
}

/** The outcome of a call. */
export interface CallEnd {
  outcome: ToolOutcome;
  /** The result as the model is given it. */
  text: string;
  /** Images and PDFs that belong to it. */
  media?: Attachment[];
}

export interface PrepareOptions {
  runId: string;
  agent: Agent;
  tools: Map<string, Tool>;
  registry: ToolRegistry;
  rules: Rule[];
  project: string;
  approvalTimeoutMs: number;
  /** Aborts when nobody waits for the call any more. */
  signal: AbortSignal;
  /** Called with an error that kept a call from being checked. */
  onError: (error: unknown) => void;
}

/**
 * Checks a call as the model wrote it: its tool, its arguments, and the rules. Never rejects: an error fails this call alone, so that the run
 * does not meet it again.
 */
export async function prepareCall(item: Item, options: PrepareOptions): Promise<PreparedCall> {
  const { callId, name } = item.toolCall as NonNullable<Item['toolCall']>;
  const end = (how: CallEnd): PreparedCall => ({ callId, tool: undefined, args: {}, end: how, approval: undefined });
  const fail = (text: string) => end({ outcome: 'failed', text });

  const tool = options.tools.get(name);
  if (tool === undefined)
    return fail(`There is no tool "${name}". There are: ${[...options.tools.keys()].join(', ')}.`);
  const args = toArguments(item);
  if (typeof args === 'string') return fail(args);
  try {
    const invalid = await options.registry.validateArguments(tool, args, options.signal);
    if (invalid !== undefined) return fail(`The arguments do not fit the tool's schema: ${invalid}.`);
    const action = toToolAction(tool, args, options.project);
    if (typeof action === 'string') return fail(action);
    const decision = evaluate(action, options.rules);
    if (decision.effect === 'deny') return end(denial(decision.reason));
    const approval =
      decision.effect === 'ask'
        ? toApproval(tool, action, { callId, args, reason: decision.reason, options })
        : undefined;
    return { callId, tool, args, end: undefined, approval };
  } catch (error) {
    options.onError(error);
    return fail('This call could not be checked, and was not made. Do it another way.');
  }
}

interface Asked {
  callId: string;
  args: Record<string, unknown>;
  reason: string;
  options: PrepareOptions;
}

function toApproval(tool: Tool, act: ToolAction, { callId, args, reason, options }: Asked): Approval {
  const resource = rememberedResource(act);
  return {
    callId,
    runId: options.runId,
    name: tool.name,
    arguments: args,
    kind: tool.kind,
    target: tool.target,
    reason,
    options: [
      { scope: 'once' },
      ...(resource === undefined ? [] : [{ scope: 'session' as const, resource }]),
      ...(resource === undefined || options.project === '' ? [] : [{ scope: 'project' as const, resource }]),
    ],
    ...foreseen(tool, args, options),
    createdAt: new Date(),
    deadline: new Date(Date.now() + options.approvalTimeoutMs),
  };
}

/** Returns the result of a call that a rule denies. */
export function denial(reason: string): CallEnd {
  return { outcome: 'denied', text: `This was not done. ${reason}` };
}

/** Returns the paths and rules that a call's runner must keep to, so that no link or search leads to denied files. */
export function policyOf(tool: Tool, args: Record<string, unknown>, rules: Rule[], project: string): CallPolicy {
  const act = toToolAction(tool, args, project);
  if (typeof act === 'string' || tool.kind === 'execute') return {};
  const denied = deniedPaths(act, rules);
  const [root] = rootsOf(project);
  return {
    ...(act.resources.length === 0 ? {} : { paths: act.resources }),
    ...(denied.length === 0 ? {} : { denied, ...(root === undefined ? {} : { root }) }),
  };
}

export interface CallPolicy {
  paths?: string[];
  denied?: string[];
  root?: string;
}

/** Returns the changes of a patch; of another tool of a client's, what that must keep to when it says what would change. */
function foreseen(
  tool: Tool,
  args: Record<string, unknown>,
  { rules, project }: PrepareOptions,
): Pick<Approval, 'changes' | 'preview'> {
  if (tool.name === 'apply_patch') {
    const changes = changesOf(args.patch);
    return typeof changes === 'string' ? {} : { changes };
  }
  if (tool.target !== 'client') return {};
  const policy = policyOf(tool, args, rules, project);
  // What must not be read must not be shown as what was there before.
  const unread = policyOf({ ...tool, name: 'read_file' }, args, rules, project);
  const denied = [...new Set([...(policy.denied ?? []), ...(unread.denied ?? [])])];
  const root = policy.root ?? unread.root;
  return {
    preview: {
      ...(policy.paths === undefined ? {} : { paths: policy.paths }),
      ...(denied.length === 0 ? {} : { denied }),
      ...(root === undefined ? {} : { root }),
    },
  };
}

/** Returns what a call would do, for the rules; or a text for the model where that is not known. */
export function toToolAction(tool: Tool, args: Record<string, unknown>, project: string): ToolAction | string {
  const { name, kind, resource } = tool;
  const act = (resources: string[]): ToolAction | string =>
    resources.length > MAX_RESOURCES
      ? `It works on ${resources.length} files at once, and may on ${MAX_RESOURCES}: do it in parts.`
      : {
          tool: name,
          kind,
          resources: kind === 'execute' ? resources : resources.map((path) => normalizePath(path, project)),
          project,
        };
  if (name === 'apply_patch' && typeof args.patch === 'string') {
    const changes = changesOf(args.patch);
    return typeof changes === 'string' ? changes : act(changes.map(({ path }) => path));
  }
  const value = resource === undefined || !Object.hasOwn(args, resource) ? undefined : args[resource];
  return act(Array.isArray(value) ? value.map(String) : value === undefined ? [] : [String(value)]);
}

/** Returns the arguments; or a text for the model where they are not a JSON object. */
function toArguments(item: Item): Record<string, unknown> | string {
  if (item.toolCall?.arguments !== undefined) return item.toolCall.arguments;
  if (jsonDepthExceeds(item.text, MAX_VALUE_DEPTH))
    return `The arguments are nested more than ${MAX_VALUE_DEPTH} levels deep.`;
  try {
    const value: unknown = item.text.trim() === '' ? {} : JSON.parse(item.text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    return 'The arguments must be a JSON object.';
  } catch (error) {
    return `The arguments are not valid JSON: ${(error as Error).message}. Send the call again with whole, valid JSON.`;
  }
}

export function toText(result: unknown): string {
  return typeof result === 'string' ? result : JSON.stringify(result ?? null);
}

/** Shortens a result for the model; `isWhole` is false where parts are left out, which the text says. */
export function shorten(text: string, resultId: string): { shown: string; isWhole: boolean } {
  if (text.length <= SHOWN_HEAD + SHOWN_TAIL) return { shown: text.toWellFormed(), isWhole: true };
  const head = wholePart(text, 0, SHOWN_HEAD);
  const tail = wholePart(text, text.length - SHOWN_TAIL);
  const left = text.length - head.length - tail.length;
  const note = `\n\n[… ${left} of ${text.length} characters are left out here. read_result has all of it as "${resultId}".]\n\n`;
  return { shown: (head + note + tail).toWellFormed(), isWhole: false };
}

/** Returns how an approval ends at `now`. */
export function resolutionOf(decision: ApprovalOutcome, by: string, now: number): Resolution {
  return { decision, by, decidedAt: now };
}

/** Returns the item with the decision on its call, which is stored with the call's end too. */
export function withResolution(item: Item, decision: Resolution, args?: Record<string, unknown>): Item {
  if (item.toolCall === undefined) return item;
  return {
    ...item,
    toolCall: { ...item.toolCall, decision, ...(args === undefined ? {} : { arguments: args }) },
  };
}

/** Returns the result of a call that was rejected, or not decided on in time. */
export function rejection({
  decision,
  feedback,
}: {
  decision: ApprovalOutcome;
  feedback?: string | undefined;
}): CallEnd {
  if (decision === 'timed_out')
    return { outcome: 'rejected', text: 'Nobody decided on this call in time: it was not made.' };
  const why = feedback === undefined || feedback === '' ? '' : ` They say: ${feedback}`;
  return { outcome: 'rejected', text: `The person rejected this call: it was not made.${why}` };
}

/** Returns the files that a call has changed; undefined where its arguments do not name them. */
export function changesMadeBy({
  name,
  args,
  tool,
}: {
  name: string;
  args: Record<string, unknown>;
  tool: Tool | undefined;
}): NonNullable<Item['fileChange']>['changes'] | undefined {
  if (tool?.kind !== 'write' && tool?.kind !== 'delete') return undefined;
  if (name === 'apply_patch') {
    const changes = changesOf(args.patch);
    return typeof changes === 'string' ? undefined : changes;
  }
  const path = tool.resource === undefined ? undefined : args[tool.resource];
  if (typeof path !== 'string') return undefined;
  return [{ path, change: tool.kind === 'delete' ? 'delete' : 'modify', hunks: [] }];
}

export function toSeconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}

/** Returns the result of a call whose tool did not answer in time. */
export function lateEnd(timeoutMs: number): CallEnd {
  return {
    outcome: 'timed_out',
    text: `The tool did not answer within ${toSeconds(timeoutMs)} s. It may still be running.`,
  };
}
