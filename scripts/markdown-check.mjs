// `npm run lint`: Markdown has one sentence a line, no hard wraps, and no line of more than 140 characters outside tables and code.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAX_LENGTH = 140;
const root = fileURLToPath(new URL('..', import.meta.url));
/** What others write, or what a model is told. */
const LEFT_OUT = /^(node_modules|dist|coverage|agents|results|\.git|\.turbo|\.codelab|\.changeset)$/;

/** Has what may stand behind the end of a sentence: brackets, quotes, emphasis, the target of a link. */
const CLOSERS = String.raw`(?:[)\]"”»*_]|\]\([^)]*\))*`;
const TWO_SENTENCES = new RegExp(String.raw`[.!?]${CLOSERS}\s+["“«*_(\[]*[\p{Lu}§]`, 'u');
const ENDS = new RegExp(String.raw`(?:[.!?:…]${CLOSERS}|  |\\)$`, 'u');
const ABBREVIATION = /\b(?:e\.g|i\.e|etc|vs|No)\.\s/g;

/**
 * Returns what is wrong with a text, a line each, in order.
 * @param {string} text Markdown
 * @returns {Array<{ line: number, mistake: string }>}
 */
export function markdownMistakes(text) {
  /** @type {Array<{ line: number, mistake: string }>} */
  const found = [];
  let isCode = false;
  /** The prose of the line above, where this line may go on with it. @type {string | undefined} */
  let above;
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(```|~~~)/.test(line)) {
      isCode = !isCode;
      above = undefined;
      continue;
    }
    if (isCode || /^\s*(\||<|$)/.test(line)) {
      above = undefined;
      continue;
    }
    const add = (/** @type {string} */ mistake) => found.push({ line: index + 1, mistake });
    if ([...line].length > MAX_LENGTH) add(`has ${[...line].length} characters, ${MAX_LENGTH} at most`);
    if (/^#/.test(line)) {
      above = undefined;
      continue;
    }
    const isItem = /^\s*([-*+]|\d+\.)\s/.test(line);
    // What is in code is no sentence.
    const prose = line
      .replace(/^\s*([-*+]|\d+\.)\s+/, '')
      .replace(/`[^`]*`/g, 'x')
      .replace(ABBREVIATION, '');
    if (TWO_SENTENCES.test(prose)) add('has two sentences');
    if (above !== undefined && !isItem && !ENDS.test(above)) add('goes on with the line above');
    above = prose;
  }
  return found;
}

/** Yields the Markdown files below a folder, by their paths from the root. @param {string} [folder] @returns {Generator<string>} */
export function* markdownFiles(folder = '') {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory() && !LEFT_OUT.test(entry.name)) yield* markdownFiles(path);
    if (entry.isFile() && entry.name.endsWith('.md')) yield path;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const path of markdownFiles()) {
    for (const { line, mistake } of markdownMistakes(readFileSync(join(root, path), 'utf8'))) {
      process.stderr.write(`${path}:${line} ${mistake}\n`);
      process.exitCode = 1;
    }
  }
}
