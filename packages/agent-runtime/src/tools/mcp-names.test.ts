import { ToolSpec } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { fitName } from './mcp-names.ts';

const LONG = 'a'.repeat(64);

it.each([
  ['files_read', 'files_read'],
  [LONG, LONG],
  ['files_read.file', /^files_read_file_[0-9a-f]{8}$/],
  ['files_notes/read', /^files_notes_read_[0-9a-f]{8}$/],
  ['files_читать😀', /^files_{9}[0-9a-f]{8}$/],
  [`${LONG}b`, /^a{55}_[0-9a-f]{8}$/],
])('%j becomes a name that providers take, the same each time', (name, fit) => {
  const made = fitName(name);
  expect(made).toMatch(fit);
  expect(fitName(name)).toBe(made);
  expect(ToolSpec.safeParse({ name: made, inputSchema: { type: 'object' } }).success).toBe(true);
});

it('keeps apart what only its odd characters or its end tell apart', () => {
  const names = ['a.b', 'a/b', 'a_b', 'a b', `${LONG}1`, `${LONG}2`, ...'éèê'];
  expect(new Set(names.map((name) => fitName(name))).size).toBe(names.length);
  expect(fitName('a_b', { isTaken: true })).toMatch(/^a_b_[0-9a-f]{8}$/);
});
