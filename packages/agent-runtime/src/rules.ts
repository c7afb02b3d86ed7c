import { posix } from 'node:path';
import type { Rule, RuleEffect, ToolKind } from '@codelab/protocol';
import picomatch from 'picomatch';

/** What one call would do. */
export interface Act {
  tool: string;
  kind: ToolKind;
  /** What it works on: paths, or one command. Empty: nothing that has a name. */
  resources: string[];
}

export interface Verdict {
  effect: RuleEffect;
  /** Why, for a person or the model. */
  reason: string;
}

/**
 * Whether a call may be made. A `deny` that matches anything it works on wins; then an `allow` for all of it; then an `ask`; else the kind decides: only `read`
 * is allowed.
 */
export function judge(act: Act, rules: Rule[]): Verdict {
  const own = rules.filter((rule) => matchesName(rule.tool, act.tool));
  const resources = act.resources.length === 0 ? [''] : act.resources;
  const denied = own.find(
    (rule) => rule.effect === 'deny' && resources.some((resource) => matches(rule, act, resource)),
  );
  if (denied !== undefined) return { effect: 'deny', reason: `A rule denies ${describe(denied)}.` };
  const allows = own.filter((rule) => rule.effect === 'allow');
  if (allows.length > 0 && resources.every((resource) => allows.some((rule) => matches(rule, act, resource))))
    return { effect: 'allow', reason: 'A rule allows it.' };
  const asked = own.find((rule) => rule.effect === 'ask' && resources.some((resource) => matches(rule, act, resource)));
  if (asked !== undefined) return { effect: 'ask', reason: `A rule asks for ${describe(asked)}.` };
  return act.kind === 'read' ? { effect: 'allow', reason: 'It only reads.' } : { effect: 'ask', reason: WHY[act.kind] };
}

const WHY = {
  write: 'It changes files.',
  delete: 'It deletes.',
  execute: 'It runs something on this machine.',
} as const;

/** What a yes for the rest of the session stands for: all files for what writes, else exactly this. */
export function rememberedResource({ kind, resources }: Act): string {
  return kind === 'write' || resources.length !== 1 ? '**' : escapeGlob(resources[0] as string);
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]{}()!+@]/g, '\\$&');
}

function describe(rule: Rule): string {
  return rule.resource === '**' ? rule.tool : `${rule.tool} on ${rule.resource}`;
}

function matchesName(glob: string, name: string): boolean {
  return glob === name || picomatch.isMatch(name, glob);
}

const SHELL_OPERATORS = /[;&|<>`\n]|\$\(/;

function matches({ resource: glob, effect }: Rule, { kind }: Act, resource: string): boolean {
  if (glob === '**' || glob === '*') return true;
  const negated = glob.startsWith('!');
  const pattern = negated ? glob.slice(1) : glob;
  const isSame = withoutEscapes(pattern) === resource;
  // What follows a shell's separators is not what was allowed.
  if (kind === 'execute' && effect === 'allow' && !isSame && SHELL_OPERATORS.test(resource)) return false;
  const found =
    isSame ||
    (kind === 'execute'
      ? picomatch.makeRe(pattern, { bash: true, dot: true, nonegate: true, noextglob: true }).test(resource)
      : picomatch.isMatch(normalized(resource), pattern, { dot: true, nonegate: true }));
  return found !== negated;
}

function withoutEscapes(pattern: string): string {
  return pattern.replace(/\\(.)/g, '$1');
}

/** The path as it is meant, so that `docs/../src/x` is no way around a rule. */
export function normalized(path: string): string {
  return posix.normalize(path.replaceAll('\\', '/')).replace(/^\.\//, '');
}
