import { compileGlob, foldCase, type GlobWork } from './glob.ts';

/**
 * The path as it is meant, with slashes: `./a//b/../c/` is `a/c`, the workspace itself is `.`. One that is written from the top is made relative to `root`, where
 * that is such a path and it leads there. What is then still outside (`isOutside`) leads elsewhere, or nobody can tell.
 */
export function normalizePath(path: string, root?: string): string {
  const meant = resolveDots(path);
  const base = root === undefined ? undefined : resolveDots(root);
  if (base === undefined || !isAbsolute(base) || !isOutside(meant)) return meant;
  const full = isAbsolute(meant) ? meant : resolveDots(`${base}/${meant}`);
  const inside = base.endsWith('/') ? base : `${base}/`;
  if (full === base) return '.';
  return full.startsWith(inside) ? full.slice(inside.length) : meant;
}

/** True where a normalized path leads out of the workspace, as far as its spelling tells. */
export function isOutside(path: string): boolean {
  return path === '..' || path.startsWith('../') || path.startsWith('~') || /^file:/i.test(path) || isAbsolute(path);
}

/** True for a normalized path from the top: of the disk, or of a drive. */
export function isAbsolute(path: string): boolean {
  return path.startsWith('/') || /^[A-Za-z]:/.test(path);
}

/** Returns a project as it is meant: `/ws/`, `//ws` and `/x/../ws` are one, and what is no path from the top is a name. */
export function normalizeProject(project: string): string {
  const path = normalizePath(project);
  return isAbsolute(path) ? path : project;
}

function resolveDots(path: string): string {
  const slashed = path.replaceAll('\\', '/');
  const [drive = ''] = /^[A-Za-z]:/.exec(slashed) ?? [];
  const rest = slashed.slice(drive.length);
  const top = rest.startsWith('/') ? '/' : '';
  const names: string[] = [];
  for (const name of rest.split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') names.push(name);
    else if (names.length > 0 && names.at(-1) !== '..') names.pop();
    else if (top === '') names.push(name);
  }
  return `${drive.toUpperCase()}${top}${names.join('/')}` || '.';
}

/** Matches a normalized path; undefined where that can't be told. */
export type PathTest = (path: string, work: GlobWork) => boolean | undefined;

/**
 * Compiles a glob over normalized paths. `isWide` also takes what a disk may take for the same: another case, another form of the same letters, dots and spaces
 * at the end of a name. `!` in front turns a glob round; a slash at its end is the folder and all in it.
 */
export function compilePathGlob(glob: string, isWide: boolean): PathTest {
  if (glob === '**' || glob === '*') return () => true;
  if (glob.startsWith('!')) {
    const rest = glob.slice(1);
    // `!(a|b)` is a group.
    const covers = compilePathGlob(rest.startsWith('(') ? `@${rest}` : rest, !isWide);
    return (path, work) => {
      const isCovered = covers(path, work);
      return isCovered === undefined ? undefined : !isCovered;
    };
  }
  const whole = glob.endsWith('/') ? `${glob}**` : glob;
  const test = compileGlob(whole, { over: 'path', ignoreCase: isWide });
  const plain = isWide ? foldName(withoutEscapes(glob)) : withoutEscapes(glob);
  return (path, work) => {
    const name = isWide ? foldName(path) : path;
    return plain === name || test(name, work);
  };
}

/** The text that a glob without wildcards stands for. */
export function withoutEscapes(glob: string): string {
  return glob.replace(/\\(.)/gs, '$1');
}

function foldName(path: string): string {
  return foldCase(path).split('/').map(withoutEnd).join('/');
}

/** `.env.` is `.env` on some disks. */
function withoutEnd(name: string): string {
  let end = name.length;
  while (end > 0 && (name[end - 1] === '.' || name[end - 1] === ' ')) end--;
  return end === 0 ? name : name.slice(0, end);
}
