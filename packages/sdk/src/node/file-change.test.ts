import { applyPatch, parsePatch } from 'diff';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { changedBy } from '../../../../tests/support/changed-by.ts';
import { fileChange } from './file-change.ts';

const line = fc.constantFrom(
  '',
  'a',
  'b',
  'c',
  '+',
  '-',
  '\\',
  '@@ -1,1 +1,1 @@',
  '--- a/x',
  'a\r',
  '\ufeff',
  'ä\u2028b',
  ' ',
);
const text = fc
  .tuple(fc.array(line, { maxLength: 30 }), fc.constantFrom('', '\n'))
  .map(([lines, end]) => lines.join('\n') + end);

/** The text that the hunks make of another, by jsdiff as the judge. */
function applied(before: string, { path, hunks }: ReturnType<typeof fileChange>): string | false {
  const lines = hunks.flatMap(({ header, lines }) => [header, ...lines]);
  const patch = [`--- ${path}`, `+++ ${path}`, ...lines, ''].join('\n');
  return applyPatch(before, patch, { autoConvertLineEndings: false });
}

it('the hunks turn the text before into the text after, whatever is in them', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const change = fileChange('x', before, after);
      expect(changedBy(before, change)).toBe(after);
      expect(applied(before, change)).toBe(after);
      for (const { lines } of change.hunks) for (const each of lines) expect(each).toMatch(/^[ +\-\\][^\n]*$/);
    }),
    { numRuns: 2_000 },
  );
});

it('a header is that of a unified diff', () => {
  const headers = (before: string | undefined, after: string | undefined) =>
    fileChange('x', before, after).hunks.map(({ header }) => header);
  expect(headers(undefined, 'a\nb\n')).toEqual(['@@ -0,0 +1,2 @@']);
  expect(headers('a\nb\n', undefined)).toEqual(['@@ -1,2 +0,0 @@']);
  expect(headers('a\nb\n', 'a\nB\n')).toEqual(['@@ -1,2 +1,2 @@']);
  expect(headers('a\n', 'a\n')).toEqual([]);
  expect(parsePatch(`--- x\n+++ x\n${headers(undefined, 'a\n')[0]}\n+a\n`)).toHaveLength(1);
});

it('says what it leaves out, and of what kind the change is', () => {
  expect(fileChange('x', undefined, 'a\0b')).toEqual({ path: 'x', change: 'create', hunks: [], omitted: 'binary' });
  expect(fileChange('x', 'a\0b', 'a')).toMatchObject({ change: 'modify', omitted: 'binary' });
  expect(fileChange('x', undefined, '')).toEqual({ path: 'x', change: 'create', hunks: [] });
  expect(fileChange('x', '', undefined)).toEqual({ path: 'x', change: 'delete', hunks: [] });
  // Half of a pair is written as U+FFFD.
  expect(fileChange('x', undefined, '\ud800').hunks[0]?.lines[0]).toBe('+\ufffd');
});

it('gives up texts that have nothing in common, and are long, in less than a second', () => {
  const long = (of: string) => Array.from({ length: 100_000 }, (_, line) => `${of}${line}`).join('\n');
  const begun = performance.now();
  expect(fileChange('x', long('a'), long('b'))).toEqual({
    path: 'x',
    change: 'modify',
    hunks: [],
    omitted: 'too_large',
  });
  expect(performance.now() - begun).toBeLessThan(3_000);
});
