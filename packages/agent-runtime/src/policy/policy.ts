import {
  compileGlob,
  compilePathGlob,
  compileRuleGlob,
  escapeGlob,
  type GlobWork,
  isAbsolute,
  isFromTop,
  isOutside,
  MAX_GLOB_LENGTH,
  normalizePath,
  type Rule,
  type RuleEffect,
  type ToolKind,
  withoutEscapes,
} from '@codelab/protocol';
import { namesProtected, protectionsOf } from './protected-paths.ts';

/** The action of one call, for the rules. */
export interface ToolAction {
  tool: string;
  kind: ToolKind;
  /** The normalized paths that it works on (`normalizePath`), or of kind `execute` the command as it stands. Empty where it names none. */
  resources: string[];
  /** The session's project. Where it is a folder, rules may have absolute paths in it. */
  project?: string;
}

export interface PolicyDecision {
  effect: RuleEffect;
  /** The reason, for a person or the model. */
  reason: string;
}

/** Limits the matching of one decision, to about a tenth of a second. A rule that is not matched by then counts against the call. */
const DECISION_WORK = 20_000_000;
/** The work of compiling a glob, for each of its characters. */
const COMPILE_WORK = 10;

/**
 * Decides whether a call may be made. A `deny` that matches any of its resources wins; then `allow` rules that cover all of them; then an `ask`; else the kind
 * decides: only `read` is allowed. A path outside the workspace is never allowed without asking.
 */
export function evaluate(act: ToolAction, rules: Rule[]): PolicyDecision {
  const work: GlobWork = { left: DECISION_WORK };
  const own = rules
    .filter((rule) => namesTool(rule, act.tool, work))
    .map((rule) => ({ rule, covers: compileRule(rule, act, work) }));
  const resources = act.resources.length === 0 ? [''] : act.resources;
  const found = (effect: RuleEffect) =>
    own.find(({ rule, covers }) => rule.effect === effect && resources.some((resource) => covers(resource) !== false));

  const denied = found('deny');
  if (denied !== undefined)
    return { effect: 'deny', reason: work.left < 0 ? TOO_MUCH : `A rule denies ${describe(denied.rule)}.` };
  const allows = own.filter(({ rule }) => rule.effect === 'allow');
  if (allows.length > 0 && resources.every((resource) => allows.some(({ covers }) => covers(resource) === true)))
    return { effect: 'allow', reason: 'A rule allows it.' };
  const asked = found('ask');
  if (asked !== undefined) return { effect: 'ask', reason: `A rule asks for ${describe(asked.rule)}.` };
  if (act.kind !== 'execute' && resources.some(isOutside))
    return { effect: 'ask', reason: 'It leads out of the workspace, or is written as if it did.' };
  return act.kind === 'read' ? { effect: 'allow', reason: 'It only reads.' } : { effect: 'ask', reason: WHY[act.kind] };
}

/** Returns the globs that rules deny to a tool that works on paths, so that its runner leaves out such files. */
export function deniedPaths({ tool, kind, project }: Omit<ToolAction, 'resources'>, rules: Rule[]): string[] {
  if (kind === 'execute') return [];
  const work: GlobWork = { left: DECISION_WORK };
  return rules
    .filter((rule) => rule.effect === 'deny' && namesTool(rule, tool, work))
    .map(({ resource }) => insideProject(resource, project));
}

const TOO_MUCH = 'It works on too much to be checked against the rules: do less at once.';

const WHY = {
  write: 'It changes files.',
  delete: 'It deletes.',
  execute: 'It runs something on this machine.',
} as const;

/**
 * Returns the glob of the rule that an approval for the rest of the session makes: all files for a tool that writes, else exactly this resource. Undefined where
 * only this call can be approved: outside the workspace, protected, or too long for a rule.
 */
export function rememberedResource({ kind, resources }: ToolAction): string | undefined {
  const work: GlobWork = { left: DECISION_WORK };
  if (kind !== 'execute') {
    if (resources.some(isOutside)) return undefined;
    if (kind !== 'read' && resources.some((path) => protectionsOf(path, work).length > 0)) return undefined;
  }
  if (kind === 'write' || resources.length === 0) return '**';
  const [only] = resources;
  if (only === undefined || resources.length > 1) return undefined;
  const glob = escapeGlob(only);
  return glob.length > MAX_GLOB_LENGTH ? undefined : glob;
}

function describe(rule: Rule): string {
  return rule.resource === '**' ? rule.tool : `${rule.tool} on ${rule.resource}`;
}

/** True where the rule is for the tool. A rule that is too expensive to match counts, unless it would allow. */
function namesTool({ tool: glob, effect }: Rule, name: string, work: GlobWork): boolean {
  if (glob === name || glob === '*' || glob === '**') return true;
  return (spendOn(glob, work) ? compileGlob(glob, { over: 'path' })(name, work) : undefined) ?? effect !== 'allow';
}

/** Spends the work of compiling a glob. Returns false where none is left. */
function spendOn(glob: string, work: GlobWork): boolean {
  work.left -= glob.length * COMPILE_WORK;
  return work.left >= 0;
}

const SHELL_OPERATORS = /[;&|<>`\n]|\$\(/;

type Covers = (resource: string) => boolean | undefined;

function compileRule(rule: Rule, act: ToolAction, work: GlobWork): Covers {
  if (!spendOn(rule.resource, work)) return () => undefined;
  return act.kind === 'execute' ? overCommands(rule, act, work) : overPaths(rule, act, work);
}

function overCommands({ resource: glob, effect }: Rule, { project }: ToolAction, work: GlobWork): Covers {
  if (glob === '**' || glob === '*') return () => true;
  const isNegated = glob.startsWith('!');
  const pattern = isNegated ? glob.slice(1) : glob;
  const same = withoutEscapes(pattern);
  const test = compileGlob(pattern, { over: 'text' });
  const asPath = compileRuleGlob(glob, { isWide: true, roots: rootsOf(project) });
  return (command) => {
    const isSame = same === command;
    // A shell's operators begin another command, which was not allowed.
    if (effect === 'allow' && !isSame && SHELL_OPERATORS.test(command)) return false;
    const found = isSame || test(command, work);
    const covers = found === undefined ? undefined : found !== isNegated;
    // A tool that executes may also name a file.
    if (covers !== false || effect === 'allow' || isNegated || /\s/.test(command)) return covers;
    return asPath(normalizePath(command, project), work);
  };
}

function overPaths({ resource, effect }: Rule, { kind, project }: ToolAction, work: GlobWork): Covers {
  const roots = rootsOf(project);
  if (effect !== 'allow') {
    const covers = compileRuleGlob(resource, { isWide: true, roots });
    return (path) => covers(path, work);
  }
  // Without the project's folder an absolute glob matches nothing for sure, and its negation neither.
  if (isTurned(resource) && isFromTop(resource) && roots.length === 0) return () => undefined;
  const glob = insideProject(resource, project);
  const covers = isTurned(glob) ? compileRuleGlob(glob, { isWide: false, roots }) : compilePathGlob(glob, false);
  return (path) => {
    if (isOutside(path)) return false;
    const isCovered = covers(path, work);
    if (isCovered !== true || kind === 'read') return isCovered;
    return namesProtected(glob, protectionsOf(path, work));
  };
}

function isTurned(glob: string): boolean {
  return glob.startsWith('!');
}

/** Returns the project's folder, where it is an absolute path. */
export function rootsOf(project: string | undefined): string[] {
  const root = project === undefined ? '' : normalizePath(project);
  return isAbsolute(root) ? [root] : [];
}

/** Makes an absolute glob within the project relative to it. */
function insideProject(glob: string, project: string | undefined): string {
  const [root] = rootsOf(project);
  return root !== undefined && glob.startsWith(`${root}/`) ? glob.slice(root.length + 1) : glob;
}
