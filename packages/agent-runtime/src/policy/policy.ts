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

/** What one call would do. */
export interface ToolAction {
  tool: string;
  kind: ToolKind;
  /** What it works on: paths as they are meant (`normalizePath`), or of kind `execute` one command as it stands. Empty: nothing that has a name. */
  resources: string[];
  /** The session's project. Where it is a folder, rules may name paths in it from the top. */
  project?: string;
}

export interface PolicyDecision {
  effect: RuleEffect;
  /** Why, for a person or the model. */
  reason: string;
}

/** What one judgement may cost, about a tenth of a second: what is not told by then counts against the call. */
const JUDGE_WORK = 20_000_000;
/** For each character. */
const COMPILE_WORK = 10;

/**
 * Whether a call may be made. A `deny` that matches anything it works on wins; then an `allow` for all of it; then an `ask`; else the kind decides: only `read`
 * is allowed. What leads out of the workspace is never allowed without being asked.
 */
export function evaluate(act: ToolAction, rules: Rule[]): PolicyDecision {
  const work: GlobWork = { left: JUDGE_WORK };
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

/** The globs of what rules deny to a tool that works on paths: for whoever runs it, to leave out what it comes upon. */
export function deniedPaths({ tool, kind, project }: Omit<ToolAction, 'resources'>, rules: Rule[]): string[] {
  if (kind === 'execute') return [];
  const work: GlobWork = { left: JUDGE_WORK };
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
 * What a yes for the rest of the session stands for: all files for what writes, else exactly this. Undefined where it stands for this once only: what leads out of the
 * workspace, what is protected, what is too long to be named.
 */
export function rememberedResource({ kind, resources }: ToolAction): string | undefined {
  const work: GlobWork = { left: JUDGE_WORK };
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

/** One that can't be told counts, unless it would allow. */
function namesTool({ tool: glob, effect }: Rule, name: string, work: GlobWork): boolean {
  if (glob === name || glob === '*' || glob === '**') return true;
  return (spendOn(glob, work) ? compileGlob(glob, { over: 'path' })(name, work) : undefined) ?? effect !== 'allow';
}

/** Whether there is work left to compile a glob. */
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
    // What follows a shell's separators is not what was allowed.
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
  // Where the files are from the top nobody knows, and so not what is left out either.
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

/** The project, where that is a path. */
export function rootsOf(project: string | undefined): string[] {
  const root = project === undefined ? '' : normalizePath(project);
  return isAbsolute(root) ? [root] : [];
}

/** A rule may name the project's files from the top. */
function insideProject(glob: string, project: string | undefined): string {
  const [root] = rootsOf(project);
  return root !== undefined && glob.startsWith(`${root}/`) ? glob.slice(root.length + 1) : glob;
}
