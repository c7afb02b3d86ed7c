import { applyPatch } from 'diff';
import { expect, it } from 'vitest';
import { changesOf, withoutHunks } from './patch.ts';

const before = Array.from({ length: 30 }, (_, index) => `line ${index + 1}\n`).join('');
const patch = `--- a/x.txt
+++ b/x.txt
@@ -1,3 +1,4 @@
 line 1
+between
 line 2
 line 3
@@ -10,3 +11,2 @@
 line 10
-line 11
 line 12
@@ -20,2 +20,2 @@
 line 20
-line 21
+LINE 21
`;

it.each([[[]], [[0]], [[1]], [[2]], [[0, 1]], [[0, 2]], [[1, 2]]])('still applies without the hunks %j', (dropped) => {
  const rest = withoutHunks(patch, dropped) as string;
  const after = applyPatch(before, rest, { fuzzFactor: 0 }) as string;
  expect(after.includes('between')).toBe(!dropped.includes(0 as never));
  expect(after.includes('line 11\n')).toBe(dropped.includes(1 as never));
  expect(after.includes('LINE 21')).toBe(!dropped.includes(2 as never));
  expect((changesOf(rest) as Array<{ hunks: unknown[] }>)[0]?.hunks).toHaveLength(3 - dropped.length);
});

it('nothing is left of a patch without all its hunks', () => {
  expect(withoutHunks(patch, [0, 1, 2])).toBeUndefined();
});

it.each([
  ['', 'no changes'],
  ['hello', 'no changes'],
  ['--- a/x\n+++ b/x\n@@ -1,2 +1,1 @@\n-a\n', 'no valid unified diff'],
  ['@@ -1,1 +1,1 @@\n-a\n+b\n', 'needs its --- and +++'],
  ['--- a/x\n+++ b/y\n@@ -1,1 +1,1 @@\n-a\n+b\n', 'moves y'],
])('%j is refused, and the model is told why', (text, why) => {
  expect(changesOf(text)).toContain(why);
});

it('tells what is created, changed and deleted', () => {
  const many =
    '--- /dev/null\n+++ b/new\n@@ -0,0 +1,1 @@\n+a\n--- a/old\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n--- a/same\n+++ b/same\n@@ -1,1 +1,1 @@\n-a\n+b\n';
  expect(changesOf(many)).toMatchObject([
    { path: 'new', change: 'create', hunks: [{ hunk: 0 }] },
    { path: 'old', change: 'delete', hunks: [{ hunk: 1 }] },
    { path: 'same', change: 'modify', hunks: [{ hunk: 2 }] },
  ]);
});

it('one that is too large to be read in one go is refused before it is', () => {
  const hunk = '@@ -1,1 +1,1 @@\n-a\n+b\n';
  expect(changesOf(`--- a/x\n+++ b/x\n${hunk.repeat(5_001)}`)).toContain('has 5001 hunks, and may have 5000');
  expect(changesOf(`--- a/x\n+++ b/x\n${hunk}`.repeat(5_001))).toContain('and may have 5000');
  expect(changesOf(`--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-a\n+${'b'.repeat(5_000_000)}\n`)).toContain('characters');
  expect(changesOf(`--- a/x\n+++ b/x\n${hunk.repeat(1_000)}`)).toHaveLength(1);
});
