/** Longer ones are refused where they come in. UTF-16 code units. */
export const MAX_GLOB_LENGTH = 1000;

/** Steps that may still be taken: a comparison costs about the length of the glob times the length of the text. */
export interface GlobWork {
  left: number;
}

export interface GlobOptions {
  /** `path`: only `**` crosses a slash. `text`: every `*` does, and there are no groups: what commands are compared by. */
  over: 'path' | 'text';
  /** Compares whatever a disk may take for the same name as the same. */
  ignoreCase?: boolean;
}

/** Matches a text; undefined where that can't be told, because the glob is too long or `work` is used up. */
export type GlobTest = (text: string, work: GlobWork) => boolean | undefined;

/**
 * Compiles a glob: `*`, `**`, `?`, `[a-z]`, `[!a-z]`, `{a,b}`, `{1..9}`, `@(a|b)` and its like, `\` before what is meant as it stands. Nothing of it expands
 * or backtracks, so that no glob takes longer than its length times the text's; repeated groups, which may, end with `work`.
 */
export function compileGlob(glob: string, { over, ignoreCase = false }: GlobOptions): GlobTest {
  if (glob.length > MAX_GLOB_LENGTH) return () => undefined;
  const fold = (text: string) => (ignoreCase ? foldCase(text) : text);
  const pattern = parse(fold(glob), over === 'path', ignoreCase);
  return (text, work) => {
    const folded = fold(text);
    const end = new Uint8Array(folded.length + 1);
    end[folded.length] = 1;
    try {
      return pattern(folded, end, work)[0] === 1;
    } catch (error) {
      if (error === exhausted) return undefined;
      throw error;
    }
  };
}

/** Returns the glob that stands for a text as it is. */
export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]{}()!+@]/g, '\\$&');
}

/** Returns one form for all names that some disk takes for the same. */
export function foldCase(text: string): string {
  return text.normalize('NFC').toLowerCase();
}

/**
 * A part of a glob. Given where in the text the rest of the glob may begin (1 in `after`), it answers where this part may begin so that it ends there:
 * the text is gone through from its end once for each part.
 */
type Part = (text: string, after: Uint8Array, work: GlobWork) => Uint8Array;

const exhausted = new Error('The work is used up.');

function spend(work: GlobWork, steps: number): void {
  work.left -= steps;
  if (work.left < 0) throw exhausted;
}

/** A part that is told position by position, from the end of the text: `begins` may use what it has answered for later ones. */
function eachPosition(
  begins: (text: string, at: number, after: Uint8Array, before: Uint8Array) => boolean,
  cost = 1,
): Part {
  return (text, after, work) => {
    spend(work, after.length * cost);
    const before = new Uint8Array(after.length);
    for (let at = text.length; at >= 0; at--) if (begins(text, at, after, before)) before[at] = 1;
    return before;
  };
}

const literal =
  (value: string): Part =>
  (text, after, work) => {
    spend(work, after.length);
    const before = new Uint8Array(after.length);
    for (let at = text.length - value.length; at >= 0; at--) {
      if (after[at + value.length] !== 1) continue;
      spend(work, value.length);
      if (text.startsWith(value, at)) before[at] = 1;
    }
    return before;
  };
/** One character: a whole one, where it takes two code units. */
const oneOf = (has: (character: string) => boolean): Part =>
  eachPosition((text, at, after) => {
    const character = characterAt(text, at);
    return character !== '' && after[at + character.length] === 1 && has(character);
  });
/** The character that begins at a position; nothing in the middle of one. */
function characterAt(text: string, at: number): string {
  if (at > 0 && (text.codePointAt(at - 1) ?? 0) > 0xffff) return '';
  const code = text.codePointAt(at);
  return code === undefined ? '' : String.fromCodePoint(code);
}
const runOf = (has: (character: string) => boolean): Part =>
  eachPosition(
    (text, at, after, before) => after[at] === 1 || (at < text.length && before[at + 1] === 1 && has(text.charAt(at))),
  );
const any = () => true;
const inSegment = (character: string) => character !== '/';

/** `**` before a slash: no folder, or any number of them. */
const folders: Part = (text, after, work) => {
  spend(work, after.length);
  const before = new Uint8Array(after.length);
  let isFound = false;
  for (let at = text.length; at >= 0; at--) {
    if (after[at] === 1 || isFound) before[at] = 1;
    if (after[at] === 1 && at > 0 && text[at - 1] === '/') isFound = true;
  }
  return before;
};
/** `/**` at the end: the folder itself, and everything in it. */
const allBelow: Part = (text, after, work) => {
  spend(work, after.length);
  const before = new Uint8Array(after.length);
  let isFound = false;
  for (let at = text.length; at >= 0; at--) {
    if (after[at] === 1 || (isFound && text[at] === '/')) before[at] = 1;
    if (after[at] === 1) isFound = true;
  }
  return before;
};

const sequence =
  (parts: Part[]): Part =>
  (text, after, work) =>
    parts.reduceRight((rest, part) => part(text, rest, work), after);

const anyOf =
  (parts: Part[]): Part =>
  (text, after, work) => {
    const before = new Uint8Array(after.length);
    for (const part of parts) union(before, part(text, after, work), work);
    return before;
  };

const repeated =
  (part: Part, isOptional: boolean): Part =>
  (text, after, work) => {
    const before = isOptional ? after.slice() : part(text, after, work);
    while (union(before, part(text, before, work), work));
    return before;
  };

/** `!(…)`: a run within the segment, but none of those that would end where the rest begins. */
const noneOf =
  (part: Part): Part =>
  (text, after, work) => {
    const before = runOf(inSegment)(text, after, work);
    const excluded = part(text, after, work);
    for (let at = 0; at < before.length; at++) if (excluded[at] === 1) before[at] = 0;
    return before;
  };

/** Returns true where anything was added. */
function union(to: Uint8Array, from: Uint8Array, work: GlobWork): boolean {
  spend(work, to.length);
  let hasGrown = false;
  for (let at = 0; at < to.length; at++) {
    if (from[at] !== 1 || to[at] === 1) continue;
    to[at] = 1;
    hasGrown = true;
  }
  return hasGrown;
}

const MAX_DIGITS = 15;

/** `{1..9}`. With a leading zero all of them are as long as the longest. */
function numbersBetween(one: string, other: string): Part {
  const [low, high] = [Math.min(Number(one), Number(other)), Math.max(Number(one), Number(other))];
  const width = [one, other].some((end) => end.length > 1 && end.startsWith('0'))
    ? Math.max(one.length, other.length)
    : 0;
  return eachPosition((text, at, after) => {
    for (let length = width || 1; length <= (width || MAX_DIGITS); length++) {
      const digits = text.slice(at, at + length);
      if (digits.length < length || !/^\d+$/.test(digits)) return false;
      if (width === 0 && length > 1 && digits.startsWith('0')) return false;
      if (after[at + length] === 1 && Number(digits) >= low && Number(digits) <= high) return true;
    }
    return false;
  }, MAX_DIGITS);
}

function parse(written: string, isPath: boolean, ignoreCase: boolean): Part {
  // `**/**` says no more than `**`.
  const glob = isPath ? written.replace(/(^|\/)(?:\*\*\/)+(?=\*\*(?:\/|$))/g, '$1') : written;
  const ends = pairs(glob, isPath);
  const one = isPath ? inSegment : any;

  /** Reads what is between two positions; `isStart` and `isEnd` say that a segment begins and ends there. */
  const between = (from: number, to: number, isStart: boolean, isEnd: boolean): Part => {
    const parts: Part[] = [];
    let plain = '';
    const flush = () => {
      if (plain !== '') parts.push(literal(plain));
      plain = '';
    };
    const add = (part: Part) => {
      flush();
      parts.push(part);
    };
    for (let at = from; at < to; at++) {
      const character = glob.charAt(at);
      const end = ends.get(at);
      const isGroup = isPath && '@?*+!'.includes(character) && ends.has(at + 1) && glob[at + 1] === '(';
      if (character === '\\' && at + 1 < to) plain += glob.charAt(++at);
      else if (isGroup) {
        const close = ends.get(at + 1) as number;
        add(group(character, at + 2, close));
        at = close;
      } else if (character === '*') {
        let stars = 1;
        while (at + 1 < to && glob[at + 1] === '*' && !(glob[at + 2] === '(' && ends.has(at + 2))) {
          stars++;
          at++;
        }
        const first = at - stars + 1;
        const beginsSegment = first === from ? isStart : glob[first - 1] === '/';
        const endsSegment = at + 1 === to ? isEnd : glob[at + 1] === '/';
        if (!isPath) add(runOf(any));
        else if (stars !== 2 || !beginsSegment || !endsSegment) add(runOf(isExtensionAnywhere(glob) ? any : inSegment));
        else if (at + 1 < to) {
          add(folders);
          at++;
        } else if (plain.endsWith('/') && glob[first - 2] !== '*') {
          plain = plain.slice(0, -1);
          add(allBelow);
        } else add(runOf(any));
      } else if (character === '?') add(oneOf(one));
      else if (character === '[' && end !== undefined) {
        add(characterClass(glob.slice(at + 1, end), one, ignoreCase));
        at = end;
      } else if (character === '{' && end !== undefined) {
        const isAlone = at === from ? isStart : glob[at - 1] === '/';
        const isLast = end + 1 === to ? isEnd : glob[end + 1] === '/';
        add(braces(at + 1, end, isAlone, isLast));
        at = end;
      } else plain += character;
    }
    flush();
    return sequence(parts);
  };

  const braces = (from: number, to: number, isStart: boolean, isEnd: boolean): Part => {
    const [, low, high] = /^(\w+)\.\.(\w+)$/.exec(glob.slice(from, to)) ?? [];
    if (low !== undefined && high !== undefined) {
      if (isNumber(low) && isNumber(high)) return numbersBetween(low, high);
      const [first, last] = [low, high].sort() as [string, string];
      return oneOf((character) => character >= first && character <= last);
    }
    return anyOf(split(from, to, ',').map(([start, end]) => between(start, end, isStart, isEnd)));
  };

  const group = (sign: string, from: number, to: number): Part => {
    const content = anyOf(split(from, to, '|').map(([start, end]) => between(start, end, false, false)));
    if (sign === '@') return content;
    if (sign === '?') return anyOf([content, sequence([])]);
    return sign === '!' ? noneOf(content) : repeated(content, sign === '*');
  };

  /** The parts between separators that are not within a group of their own. */
  const split = (from: number, to: number, separator: string): Array<[number, number]> => {
    const found: Array<[number, number]> = [];
    let start = from;
    for (let at = from; at < to; at++) {
      if (glob[at] === '\\') at++;
      else if (ends.has(at)) at = ends.get(at) as number;
      else if (glob[at] === separator) {
        found.push([start, at]);
        start = at + 1;
      }
    }
    return [...found, [start, to]];
  };

  return between(glob.startsWith('./') && isPath ? 2 : 0, glob.length, true, true);
}

/** `**.md` as a whole is every file of that name's end, in whatever folder. */
function isExtensionAnywhere(glob: string): boolean {
  return /^\*\*\.\w+$/.test(glob);
}

function isNumber(text: string): boolean {
  return text.length <= MAX_DIGITS && /^\d+$/.test(text);
}

/** Finds the end of each bracket, brace and group. One without an end, or with nothing in it, stands for itself. */
function pairs(glob: string, isPath: boolean): Map<number, number> {
  const ends = new Map<number, number>();
  const open: Array<{ at: number; close: string; isWorth: boolean }> = [];
  for (let at = 0; at < glob.length; at++) {
    const character = glob.charAt(at);
    if (character === '\\') at++;
    else if (character === '[') {
      const end = classEnd(glob, at);
      if (end === undefined) continue;
      ends.set(at, end);
      at = end;
    } else if (character === '{') open.push({ at, close: '}', isWorth: false });
    else if (character === '(' && isPath && '@?*+!'.includes(glob.charAt(at - 1) || ' '))
      open.push({ at, close: ')', isWorth: true });
    else if (character === '}' || character === ')') {
      const index = open.findLastIndex(({ close }) => close === character);
      const found = open[index];
      if (found === undefined) continue;
      // What was begun within it and not ended stands for itself.
      open.length = index;
      const content = glob.slice(found.at + 1, at);
      const isRange = /^(?:[A-Za-z]\.\.[A-Za-z]|\d{1,15}\.\.\d{1,15})$/.test(content);
      if (found.isWorth || isRange) ends.set(found.at, at);
    } else if (character === ',') {
      const last = open.at(-1);
      if (last?.close === '}') last.isWorth = true;
    }
  }
  return ends;
}

function classEnd(glob: string, at: number): number | undefined {
  if (glob.lastIndexOf(']') <= at) return undefined;
  let next = at + 1;
  if (glob[next] === '!' || glob[next] === '^') next++;
  // The first one is one of its characters.
  if (glob[next] === ']') next++;
  for (; next < glob.length; next++) {
    if (glob[next] === '\\') next++;
    else if (glob.startsWith('[:', next)) {
      const end = glob.indexOf(':]', next + 2);
      if (end > 0) next = end + 1;
    } else if (glob[next] === ']') return next;
  }
  return undefined;
}

const named: Record<string, RegExp> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  digit: /[0-9]/,
  lower: /[a-z]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /\s/,
  upper: /[A-Z]/,
  word: /\w/,
  xdigit: /[0-9A-Fa-f]/,
};

/** `[…]`. Names of files have brackets too, so that one which excludes nothing also stands for itself. */
function characterClass(content: string, isPossible: (character: string) => boolean, ignoreCase: boolean): Part {
  const isNegated = /^[!^]/.test(content);
  const single = new Set<string>();
  const tests: Array<(character: string) => boolean> = [];
  for (let at = isNegated ? 1 : 0; at < content.length; at++) {
    const [whole, name = ''] = /^\[:([a-z]+):\]/.exec(content.slice(at)) ?? [];
    if (whole !== undefined) {
      const expression =
        ignoreCase && /^(lower|upper)$/.test(name) ? named.alpha : Object.hasOwn(named, name) ? named[name] : undefined;
      if (expression !== undefined) tests.push((character) => expression.test(character));
      at += whole.length - 1;
      continue;
    }
    if (content[at] === '\\' && at + 1 < content.length) at++;
    const first = characterAt(content, at);
    at += first.length - 1;
    if (content[at + 1] !== '-' || at + 2 >= content.length) {
      single.add(first);
      continue;
    }
    at += 2;
    if (content[at] === '\\' && at + 1 < content.length) at++;
    const last = characterAt(content, at);
    at += last.length - 1;
    tests.push((character) => character >= first && character <= last);
  }
  const has = (character: string) => single.has(character) || tests.some((test) => test(character));
  const part = oneOf((character) => isPossible(character) && has(character) !== isNegated);
  return isNegated ? part : anyOf([part, literal(`[${content}]`)]);
}
