// The code in Markdown, for the tests that compile and run it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { markdownFiles } from './markdown-check.mjs';
import { root } from './setup.mjs';

/**
 * @typedef {{ path: string, line: number, language: string, code: string }} Snippet
 * `path` is from the root, `line` that of its first line.
 */

/** Returns the fenced code of a text. @param {string} text Markdown @param {string} path @returns {Snippet[]} */
export function snippetsIn(text, path) {
  /** @type {Snippet[]} */
  const snippets = [];
  /** @type {Snippet | undefined} */
  let open;
  for (const [index, line] of text.split('\n').entries()) {
    const [, language] = /^\s*```(\w*)/.exec(line) ?? [];
    if (open === undefined) {
      if (language !== undefined) open = { path, line: index + 2, language, code: '' };
    } else if (language !== undefined) {
      snippets.push(open);
      open = undefined;
    } else open.code += `${line}\n`;
  }
  return snippets;
}

/** Returns the snippets of all documents in some languages. @param {string[]} languages @returns {Snippet[]} */
export function allSnippets(languages) {
  return [...markdownFiles()]
    .flatMap((path) => snippetsIn(readFileSync(join(root, path), 'utf8'), path))
    .filter(({ language }) => languages.includes(language));
}

/** Returns the commands of a shell's snippet, each in one line and without comments. @param {string} code @returns {string[]} */
export function commandsIn(code) {
  return code
    .replace(/\s*\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}
