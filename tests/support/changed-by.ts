import { expect } from 'vitest';
import type { FileChange } from '../../packages/sdk/src/index.ts';

/** Returns what a change makes of a text: each hunk must stand where its header says, and its lines be those that are there. */
export function changedBy(before: string, { hunks }: FileChange): string {
  const old = before.split(/(?<=\n)/);
  const next: string[] = [];
  let at = 0;
  for (const { header, lines } of hunks) {
    const [, start = 0, count = 0] = (/^@@ -(\d+),(\d+) /.exec(header) ?? []).map(Number);
    const from = count === 0 ? start : start - 1;
    next.push(...old.slice(at, from));
    at = from;
    for (const [index, line] of lines.entries()) {
      if (line.startsWith('\\')) continue;
      const whole = line.slice(1) + (lines[index + 1]?.startsWith('\\') ? '' : '\n');
      if (!line.startsWith('+')) expect(old[at++]).toBe(whole);
      if (!line.startsWith('-')) next.push(whole);
    }
  }
  return [...next, ...old.slice(at)].join('');
}
