import type { Approval, ApprovalOutcome, Item, NewSessionEvent, Rule, ToolOutcome } from '@codelab/protocol';
import { jsonDepthExceeds, MAX_JSON_DEPTH } from '@codelab/service-kit';
import type { Agent } from './agents.ts';
import { createDeferred, type Deferred } from './deferred.ts';
import { changesOf } from './patch.ts';
import { type Act, judge, normalized, rememberedResource } from './rules.ts';
import type { StoredItem } from './store/store.ts';
import type { Tool, Toolbox } from './tools/toolbox.ts';

/** The model is given this much of a result; the rest by reference. UTF-16 code units. */
const SHOWN_HEAD = 24 * 1024;
const SHOWN_TAIL = 8 * 1024;

/** What a call came to. */
export interface CallEnd {
  outcome: ToolOutcome;
  /** What the model is told. */
  text: string;
}

export interface Decided {
  decision: ApprovalOutcome;
  feedback?: string;
}

/** A call of the model's that has no result yet. */
export interface OpenCall {
  callId: string;
  name: string;
  stored: StoredItem;
  /** Undefined where the call could not be prepared: `end` says why. */
  tool: Tool | undefined;
  args: Record<string, unknown>;
  /** Known before anything ran: a mistake of the model's, or a rule that denies. */
  end: CallEnd | undefined;
  approval: { approval: Approval; decided: Deferred<Decided>; isPending: boolean } | undefined;
  /** As it was announced to the client. */
  request: Extract<NewSessionEvent, { type: 'tool.requested' }> | undefined;
  /** Moves the deadline of a client's call. */
  extend: (() => void) | undefined;
  isFinished: boolean;
  /** What is being stored of it: its result, or a decision. */
  storing: Promise<void> | undefined;
  finished: Deferred<void>;
}

export interface PrepareOptions {
  runId: string;
  agent: Agent;
  tools: Map<string, Tool>;
  toolbox: Toolbox;
  rules: Rule[];
  approvalTimeoutMs: number;
}

/** A call as the model wrote it, checked: its tool, its arguments, and whether somebody must be asked. */
export function prepareCall(stored: StoredItem, options: PrepareOptions): OpenCall {
  const { item } = stored;
  const { callId, name } = item.toolCall as NonNullable<Item['toolCall']>;
  const call: OpenCall = {
    callId,
    name,
    stored,
    tool: undefined,
    args: {},
    end: undefined,
    approval: undefined,
    request: undefined,
    extend: undefined,
    isFinished: false,
    storing: undefined,
    finished: createDeferred(),
  };
  const fail = (text: string, outcome: ToolOutcome = 'failed'): OpenCall => {
    call.end = { outcome, text };
    return call;
  };

  const tool = options.tools.get(name);
  if (tool === undefined)
    return fail(`There is no tool "${name}". There are: ${[...options.tools.keys()].join(', ')}.`);
  const args = toArguments(item);
  if (typeof args === 'string') return fail(args);
  const mistakes = options.toolbox.mistakesOf(tool, args);
  if (mistakes !== undefined) return fail(`The arguments do not fit the tool's schema: ${mistakes}.`);
  call.args = args;
  const act = toAct(tool, args);
  if (typeof act === 'string') return fail(act);
  const verdict = judge(act, options.rules);
  if (verdict.effect === 'deny') return fail(`This was not done. ${verdict.reason}`, 'denied');
  call.tool = tool;
  if (verdict.effect === 'ask') {
    const resource = rememberedResource(act);
    call.approval = {
      isPending: true,
      decided: createDeferred(),
      approval: {
        callId,
        runId: options.runId,
        name,
        arguments: args,
        kind: tool.kind,
        target: tool.target,
        reason: verdict.reason,
        options: [{ scope: 'once' }, { scope: 'session', resource }, { scope: 'project', resource }],
        ...withChanges(tool, args),
        createdAt: new Date(),
        deadline: new Date(Date.now() + options.approvalTimeoutMs),
      },
    };
  }
  return call;
}

function withChanges(tool: Tool, args: Record<string, unknown>): Pick<Approval, 'changes'> {
  const changes = tool.name === 'apply_patch' ? changesOf(args.patch) : undefined;
  return changes === undefined || typeof changes === 'string' ? {} : { changes };
}

/** What a call works on, or why that can't be told. */
export function toAct(tool: Tool, args: Record<string, unknown>): Act | string {
  const { name, kind, resource } = tool;
  if (name === 'apply_patch' && typeof args.patch === 'string') {
    const changes = changesOf(args.patch);
    if (typeof changes === 'string') return changes;
    return { tool: name, kind, resources: changes.map(({ path }) => normalized(path)) };
  }
  const value = resource === undefined ? undefined : args[resource];
  const resources = Array.isArray(value) ? value.map(String) : value === undefined ? [] : [String(value)];
  return { tool: name, kind, resources };
}

/** The arguments, or why they are none. */
function toArguments(item: Item): Record<string, unknown> | string {
  if (item.toolCall?.arguments !== undefined) return item.toolCall.arguments;
  if (jsonDepthExceeds(item.text, MAX_JSON_DEPTH))
    return `The arguments are nested more than ${MAX_JSON_DEPTH} levels deep.`;
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

/** What the model is shown of a result; `isWhole` is false where that is only a part, which says so. */
export function shorten(text: string, resultId: string): { shown: string; isWhole: boolean } {
  if (text.length <= SHOWN_HEAD + SHOWN_TAIL) return { shown: text, isWhole: true };
  const left = text.length - SHOWN_HEAD - SHOWN_TAIL;
  const note = `\n\n[… ${left} of ${text.length} characters are left out here. read_result has all of it as "${resultId}".]\n\n`;
  return { shown: text.slice(0, SHOWN_HEAD) + note + text.slice(-SHOWN_TAIL), isWhole: false };
}

export function rejection({ decision, feedback }: Decided): CallEnd {
  if (decision === 'timed_out')
    return { outcome: 'rejected', text: 'Nobody decided on this call in time: it was not made.' };
  const why = feedback === undefined || feedback === '' ? '' : ` They say: ${feedback}`;
  return { outcome: 'rejected', text: `The person rejected this call: it was not made.${why}` };
}
