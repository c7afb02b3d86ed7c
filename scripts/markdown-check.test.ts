import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { markdownFiles, markdownMistakes } from './markdown-check.mjs';
import { root } from './setup.mjs';

const mistakes = (text: string) => markdownMistakes(text).map(({ line, mistake }) => `${line} ${mistake}`);

describe('Markdown', () => {
  it.each([
    ['two sentences in a line', 'One. Two.', ['1 has two sentences']],
    ['two sentences, one behind a bracket and emphasis', '**One (or so).** Two.', ['1 has two sentences']],
    ['two Russian sentences', 'Раз. Два.', ['1 has two sentences']],
    ['a hard wrap', 'One that goes\non here.', ['2 goes on with the line above']],
    ['a hard wrap behind a comma', 'One,\ntwo.', ['2 goes on with the line above']],
    ['a hard wrap in an item', '- One that goes\n  on here.', ['2 goes on with the line above']],
    ['a line that is too long', `${'x'.repeat(140)}.`, ['1 has 141 characters, 140 at most']],
  ])('finds %s', (_, text, found) => {
    expect(mistakes(text)).toEqual(found);
  });

  it.each([
    ['one sentence a line', 'One.\nTwo: `a. B` and so on.\n'],
    ['items', '- one\n- two\n\n1. One.\n   More of it.\n'],
    ['a list behind a colon', 'These:\n- one\n'],
    ['abbreviations, and names of files', 'See e.g. README.md and vs. Others.\n'],
    ['code, tables and headings', '# One. Two\n```\nOne. Two\nx\n```\n| One. Two | x |\n'],
    ['the longest line', 'x'.repeat(140)],
  ])('takes %s', (_, text) => {
    expect(mistakes(text)).toEqual([]);
  });

  it('of this repository is so', () => {
    const files = [...markdownFiles()];
    expect(files).toContain('README.md');
    const found = files.flatMap((path) =>
      markdownMistakes(readFileSync(join(root, path), 'utf8')).map(({ line, mistake }) => `${path}:${line} ${mistake}`),
    );
    expect(found).toEqual([]);
  });
});
