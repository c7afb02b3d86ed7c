import { escapeGlob } from './glob.ts';
import { compilePathGlob, isAbsolute, normalizePath, type PathTest, withoutEscapes } from './paths.ts';

export interface RuleGlobOptions {
  /** Also takes what may be meant: another case, dots and spaces at the end of a name, backslashes between names. */
  isWide: boolean;
  /** Folders that relative paths may be in. One that is not from the top is ignored. */
  roots?: string[];
  /** Returns where a path from the top, or one with `~` in front, really leads. */
  realPath?: ((path: string) => string) | undefined;
}

/**
 * Compiles the glob of a rule over normalized paths. One from the top is also held against where a relative path is from the top. `!` in front turns a glob
 * round: what is left out of what a wide one covers is taken as it is written.
 */
export function compileRuleGlob(glob: string, options: RuleGlobOptions): PathTest {
  const { isWide, roots = [], realPath } = options;
  if (glob === '**' || glob === '*') return () => true;
  if (glob.startsWith('!')) {
    const rest = glob.slice(1);
    // `!(a|b)` is a group.
    const covers = compileRuleGlob(rest.startsWith('(') ? `@${rest}` : rest, { ...options, isWide: !isWide });
    return (path, work) => {
      const isCovered = covers(path, work);
      return isCovered === undefined ? undefined : !isCovered;
    };
  }
  const tops = roots.map((root) => normalizePath(root)).filter(isAbsolute);
  const resolved = spellings(glob, isWide).map(resolveDots);
  const globs = resolved.flatMap((each) =>
    each?.startsWith('..') ? [each, ...tops.map((top) => resolveDots(`${escapeGlob(top)}/${each}`))] : each,
  );
  const real = realPath === undefined ? [] : globs.flatMap((each) => withRealPrefix(each, tops[0], realPath) ?? []);
  const tests = [...new Set([glob, ...globs, ...real])].map((each) =>
    each === undefined
      ? { isFull: false, covers: () => undefined }
      : { isFull: isFromTop(each), covers: compilePathGlob(each, isWide) },
  );
  return (path, work) => {
    const full = tops.flatMap((top) => fromTop(path, top));
    let isTold = true;
    for (const { isFull, covers } of tests)
      for (const name of isFull ? [path, ...full] : [path]) {
        const isCovered = covers(name, work);
        if (isCovered === true) return true;
        if (isCovered === undefined) isTold = false;
      }
    return isTold ? false : undefined;
  };
}

/** True where a rule's glob, which may be negated, is of paths from the top. */
export function isFromTop(glob: string): boolean {
  const text = glob.replace(/^!(?!\()/, '');
  if (/^(?:[\\/~]|[A-Za-z]:|file:)/i.test(text)) return true;
  return /^(?:\{|[@?*+!]\()/.test(text) && /[{(,|](?:[\\/~]|[A-Za-z]:|file:)/i.test(text);
}

/** The glob as it is written, without escapes that say nothing, and as it would be written elsewhere. */
function spellings(glob: string, isWide: boolean): string[] {
  const texts = [glob.replace(/\\([^\\*?[\]{}()!+@|,])/g, '$1')];
  if (isWide && glob.includes('\\')) texts.push(glob.replaceAll('\\', '/'));
  return texts.flatMap((text) => {
    if (!/^file:/i.test(text)) return text;
    const path = text.replace(/^file:(?:\/\/(?:localhost)?(?=\/))?/i, '').replace(/^\/+(?=[A-Za-z]:)/, '');
    return [path, decoded(path)];
  });
}

function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

/** Returns the glob without `.`, `..` and empty names; undefined where nobody can tell what a `..` leads out of. */
function resolveDots(glob: string): string | undefined {
  const [drive = ''] = /^[A-Za-z]:/.exec(glob) ?? [];
  const rest = glob.slice(drive.length);
  const top = rest.startsWith('/') ? '/' : '';
  const names: string[] = [];
  for (const name of rest.split('/')) {
    if (name === '' || name === '.') continue;
    const last = names.at(-1);
    if (name !== '..') names.push(name);
    else if (last === undefined ? top === '' : last === '..') names.push(name);
    else if (last !== undefined && /\*\*|[{}()|]/.test(last)) return undefined;
    else names.pop();
  }
  const end = rest.endsWith('/') && names.length > 0 ? '/' : '';
  return `${drive.toUpperCase()}${top}${names.join('/')}${end}` || '.';
}

/** Returns the glob with its names up to the first wildcard as they really are; undefined where it has none. */
function withRealPrefix(
  glob: string | undefined,
  root: string | undefined,
  realPath: (path: string) => string,
): string | undefined {
  const names = glob?.split('/') ?? [];
  const end = names.findIndex((name) => /[*?[{(]/.test(name.replace(/\\./g, '')));
  const plain = (end < 0 ? names : names.slice(0, end)).join('/');
  if (glob === undefined || plain === '' || (!isFromTop(glob) && root === undefined)) return undefined;
  const path = withoutEscapes(plain);
  const real = normalizePath(realPath(isFromTop(glob) ? path : `${root}/${path}`));
  return (
    [escapeGlob(real), ...(end < 0 ? [] : names.slice(end))].join('/') + (end < 0 && glob.endsWith('/') ? '/' : '')
  );
}

/** The names of a path from the top, where it is in `root` unless it says otherwise. */
function fromTop(path: string, root: string): string[] {
  if (path.startsWith('~')) return [];
  const own = path.replace(/^file:\/*/i, '/').replace(/^\/(?=[A-Za-z]:)/, '');
  const full = normalizePath(isAbsolute(own) ? own : `${root}/${own}`);
  // On Windows what has no drive is on the one at hand.
  return [full, full.replace(/^[A-Za-z]:(?=\/)/, '')];
}
