// `npm run check:security`: every promise of SECURITY.md, and every requirement of doc/, names tests that exist and run.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { root } from './setup.mjs';

/**
 * Returns the names of the tests, and groups of tests, of a source file. One that is skipped is none.
 * @param {string} source TypeScript
 * @returns {string[]}
 */
export function testNames(source) {
  /** @type {string[]} */
  const names = [];
  /** @param {import('typescript').Node} node */
  const visit = (node) => {
    if (ts.isCallExpression(node)) {
      const [first] = node.arguments;
      const callee = node.expression.getText(file);
      if (/^(it|test|describe)\.(skip|todo)\b/.test(callee)) return;
      if (/^(it|test|describe)\b/.test(callee) && first !== undefined && ts.isStringLiteralLike(first))
        names.push(first.text);
      if (/^(it|test|describe)\b/.test(callee) && first !== undefined && ts.isTemplateExpression(first))
        names.push(first.getText(file).slice(1, -1));
    }
    ts.forEachChild(node, visit);
  };
  const file = ts.createSourceFile('x.test.ts', source, ts.ScriptTarget.Latest, true);
  visit(file);
  return names;
}

/**
 * Returns what is wrong with the promises of a text: one line each, empty where nothing is.
 * A promise is an item of a list that begins in bold type; its tests stand behind `Test:`, each file in backticks, followed by
 * names in “ ”. Items of a section “Not promised” are none.
 * @param {string} text Markdown
 * @param {(path: string) => string | undefined} read the source of a test file, undefined where there is none
 * @returns {{ promises: number, mistakes: string[] }}
 */
export function checkPromises(text, read) {
  const mistakes = [];
  let promises = 0;
  for (const section of text.split(/^(?=#+ )/m)) {
    if (/^#+ (Not promised|To whom|Report)/.test(section)) continue;
    for (const item of section.split(/^(?=- )/m).filter((part) => part.startsWith('- '))) {
      const promise = /^- \*\*(.+?)\*\*/s.exec(item)?.[1]?.replace(/\s+/g, ' ');
      if (promise === undefined) {
        mistakes.push(
          `An item is neither a promise in bold type nor under “Not promised”: ${item.slice(0, 80).trim()}`,
        );
        continue;
      }
      promises++;
      const tests = item.split('Test:').slice(1).join(' ').replace(/\s+/g, ' ');
      const files = [...tests.matchAll(/`([^`]+)`([^`]*)/g)];
      if (files.length === 0) mistakes.push(`“${promise}” names no test.`);
      for (const [, path = '', behind = ''] of files) {
        const source = read(path);
        const names = [...behind.matchAll(/“([^”]+)”/g)].map(([, name = '']) => name);
        if (source === undefined) mistakes.push(`“${promise}”: there is no ${path}.`);
        else if (names.length === 0) mistakes.push(`“${promise}” names no test of ${path}.`);
        else {
          const known = testNames(source);
          for (const name of names)
            if (!known.includes(name)) mistakes.push(`“${promise}”: ${path} has no test “${name}”.`);
        }
      }
    }
  }
  return { promises, mistakes };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const requirements = readdirSync(join(root, 'doc')).filter((name) => name.startsWith('tech-req-'));
  for (const document of ['SECURITY.md', ...requirements.map((name) => `doc/${name}`)]) {
    const { promises, mistakes } = checkPromises(readFileSync(join(root, document), 'utf8'), (path) =>
      existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined,
    );
    if (promises === 0) mistakes.push('no promise was found.');
    for (const mistake of mistakes) process.stderr.write(`${document}: ${mistake}\n`);
    if (mistakes.length > 0) process.exitCode = 1;
  }
}
