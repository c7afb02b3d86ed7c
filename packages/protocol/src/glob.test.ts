import fc from 'fast-check';
import picomatch from 'picomatch';
import { expect, it, vi } from 'vitest';
import { compileGlob } from './glob.ts';

vi.setConfig({ testTimeout: 30_000 });

const WORK = 20_000_000;
const path = (glob: string, text: string, ignoreCase = false) =>
  compileGlob(glob, { over: 'path', ignoreCase })(text, { left: WORK });
const command = (glob: string, text: string) => compileGlob(glob, { over: 'text' })(text, { left: WORK });

/** Names of few letters, so that globs and texts meet. */
const name = fc
  .array(fc.constantFrom('a', 'b', 'c', '.', '-', '1'), { minLength: 1, maxLength: 4 })
  .map((letters) => letters.join(''))
  .filter((text) => text !== '.' && text !== '..');
const text = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
const atom = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'c', '.', '-', '1') },
  { weight: 2, arbitrary: fc.constantFrom('*', '?', '[ab]', '[a-c]', '[^a]', '{1..3}', '{a..b}') },
  { weight: 1, arbitrary: fc.constantFrom('{a,b}', '{ab,c}', '{a*,b}', '{a,{b,c}}', '\\*') },
);
const segment = fc
  .array(atom, { minLength: 1, maxLength: 4 })
  .map((atoms) => atoms.join(''))
  // Two stars in the middle of a name are one, and a name of dots alone is none.
  .filter((made) => !made.includes('**') && made !== '.' && made !== '..')
  // Picomatch forgets to escape the dot before a range.
  .filter((made) => !/\.\{[1a]\.\./.test(made));
const glob = fc
  .array(fc.oneof({ weight: 3, arbitrary: segment }, { weight: 1, arbitrary: fc.constant('**') }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((segments) => segments.join('/'));

it('means what picomatch means by it, for paths', () => {
  fc.assert(
    fc.property(glob, text, (pattern, name) => {
      expect([pattern, name, path(pattern, name)]).toEqual([
        pattern,
        name,
        picomatch.isMatch(name, pattern, { dot: true, nonegate: true }),
      ]);
    }),
    { numRuns: 5_000, seed: 1 },
  );
});

it('means what picomatch means by it, for commands', () => {
  const word = fc.constantFrom('git', 'rm', '-rf', 'a/b', '*', '[ab]', '{git,npm}', 'a', 'b', '-*', 'x=1');
  const line = fc.array(fc.constantFrom('git', 'rm', '-rf', 'a/b', 'a', 'b', 'npm', 'x=1', '-x'), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), line, (words, said) => {
      const [pattern, text] = [words.join(' '), said.join(' ')];
      expect([pattern, text, command(pattern, text)]).toEqual([
        pattern,
        text,
        picomatch.makeRe(pattern, { bash: true, dot: true, nonegate: true, noextglob: true }).test(text),
      ]);
    }),
    { numRuns: 5_000, seed: 1 },
  );
});

it.each([
  ['secrets/**', 'secrets', true],
  ['**/.env', 'a/b/.env', true],
  ['**/.env', 'a/b.env', false],
  ['{src,docs}/**/*.{ts,md}', 'docs/x/y/z.md', true],
  ['{a,{b,c{d,e}}}f', 'cef', true],
  ['**.md', 'docs/x.md', true],
  ['src/**.md', 'src/docs/x.md', false],
  ['[!a]b', 'cb', true],
  ['[!a]b', 'ab', false],
  ['[[:digit:]]', '7', true],
  ['[]x]', ']', true],
  ['pages/[id].tsx', 'pages/[id].tsx', true],
  ['app/(shop)/**', 'app/(shop)/page.tsx', true],
  ['{1..20}.txt', '17.txt', true],
  ['{1..20}.txt', '21.txt', false],
  ['{08..10}', '09', true],
  ['{08..10}', '9', false],
  ['@(a|b).ts', 'b.ts', true],
  ['+(ab|c)', 'abcab', true],
  ['*(ab)x', 'x', true],
  ['?(a)b', 'b', true],
  ['!(a|b).ts', 'c.ts', true],
  ['!(a|b).ts', 'b.ts', false],
  ['!(a)', 'ab', true],
  ['a\\*', 'a*', true],
  ['a\\*', 'ab', false],
  ['{a', '{a', true],
  ['[a', '[a', true],
  ['a}', 'a}', true],
  ['./a/*', 'a/b', true],
  ['__proto__/constructor', '__proto__/constructor', true],
])('%s over %s: %s', (pattern, name, expected) => {
  expect(path(pattern, name)).toBe(expected);
});

it('a star in a command stands for everything, new lines too', () => {
  expect(command('*rm -rf*', 'git log\nrm -rf /')).toBe(true);
  expect(command('echo (*)', 'echo (a/b)')).toBe(true);
});

it('names that a disk may take for the same are the same, where that is asked for', () => {
  expect(path('**/.env', 'a/.ENV')).toBe(false);
  expect(path('**/.env', 'a/.ENV', true)).toBe(true);
  expect(path('[A-Z]É', 'xe\u0301', true)).toBe(true);
  expect(path('[[:upper:]]', 'x', true)).toBe(true);
});

it.each([
  ['stars', `${'*a'.repeat(40)}b`],
  ['folders', `${'**/'.repeat(300)}b`],
  ['stars and folders', `${'*/'.repeat(40)}**/*b`],
  ['nested braces', `${'{a,'.repeat(200)}b${'}'.repeat(200)}`],
  ['braces in a row', '{a,b}'.repeat(200)],
  ['nothing in braces', `${'{,'.repeat(300)}${'}'.repeat(300)}`],
  ['a range', '{1..10000000}'],
  ['ranges', '{1..10000000}'.repeat(70)],
  ['nested groups', `${'+('.repeat(100)}a${')'.repeat(100)}b`],
  ['groups in a row', '+(a|aa|aaa)+(a|aa|aaa)+(a|aa|aaa)b'],
  ['groups turned round', `${'!('.repeat(100)}a${')'.repeat(100)}`],
  ['brackets', `${'['.repeat(999)}]`],
])('however it is made: %s', (_, pattern) => {
  for (const name of ['a'.repeat(200), 'a/'.repeat(2_000), '1'.repeat(4_000)]) {
    const work = { left: WORK };
    const found = compileGlob(pattern, { over: 'path' })(name, work);
    // What is counted is what it costs: whatever is told was told within the work.
    expect(found === undefined).toBe(work.left < 0);
  }
});

it('one that is too long is not told', () => {
  expect(path('a'.repeat(1_001), 'a')).toBeUndefined();
});

it('takes a character for one, however many code units it has', () => {
  for (const glob of ['a?b', 'a[!x]b', 'a[😀-😂]b', 'a[x😀]b', 'a@(?)b', '*b']) {
    expect([glob, path(glob, 'a😀b')]).toEqual([glob, true]);
    expect([glob, path(glob, 'a😀😀b')]).toEqual([glob, glob === '*b']);
  }
  for (const glob of ['a??b', 'a[x]b', 'a[!😀]b', '???'])
    expect([glob, path(glob, 'a😀b')]).toEqual([glob, glob === '???']);
  expect(command('a ?', 'a 😀')).toBe(true);
  expect(path('?', '\ud83d')).toBe(true);
});
