import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { markdownFiles } from './markdown-check.mjs';
import { root } from './setup.mjs';

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const architecture = read('ARCHITECTURE.md');

/** The hops of a table: its file, and the function in it. */
function hopsOf(heading: RegExp): Array<{ file: string; name: string }> {
  const section = architecture.split(/^### /m).find((part) => heading.test(part)) ?? '';
  return [...section.matchAll(/^\| \d+ +\| `([^`]+)` *\| `([^`]+)`/gm)].map(([, file = '', name = '']) => ({
    file,
    name,
  }));
}

describe('ARCHITECTURE.md', () => {
  const there = hopsOf(/^There: /);
  const back = hopsOf(/^Back: /);

  it('counts the files of the way of a message', () => {
    const [, sent, returned, all] = /through (\d+) files, .* through (\d+);.* (\d+) files/.exec(architecture) ?? [];
    expect([there.length, back.length]).toEqual([Number(sent), Number(returned)]);
    expect(new Set([...there, ...back].map(({ file }) => file)).size).toBe(Number(all));
    expect(architecture).toContain(`### There: ${sent} files`);
    expect(architecture).toContain(`### Back: ${returned} files`);
  });

  it.each([...there, ...back])('finds $name in $file', ({ file, name }) => {
    expect(read(`packages/${file}`)).toMatch(new RegExp(`\\b${name}\\b`));
  });
});

describe('README.ru.md', () => {
  const [english, russian] = [read('README.md'), read('README.ru.md')];
  const levels = (text: string) => [...text.matchAll(/^(#+) /gm)].map(([, marks]) => marks);
  const code = (text: string) => [...text.matchAll(/^```(\w+)$/gm)].map(([, language]) => language);
  const rows = (text: string) => text.split('\n').filter((line) => line.startsWith('| ')).length;
  const named = (text: string) => new Set(text.match(/\b[A-Z_]+__[A-Z_]+\b|npm (start|test|run [\w:]+)|\]\([^)]+\)/g));

  it('has the sections, code and tables of README.md', () => {
    expect(levels(russian)).toEqual(levels(english));
    expect(code(russian)).toEqual(code(english));
    expect(rows(russian)).toBe(rows(english));
  });

  it('names the settings, commands and documents that README.md names', () => {
    const missing = [...named(english)].filter((each) => !named(russian).has(each) && each !== '](README.ru.md)');
    expect(missing).toEqual([]);
  });
});

describe('documents', () => {
  const files = [...markdownFiles()];

  it.each(files)('%s links to what exists', (path) => {
    const links = [...read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target]) => target as string);
    const local = links.filter((target) => !/^[a-z]+:/.test(target));
    expect(local.filter((target) => !existsSync(join(root, dirname(path), target)))).toEqual([]);
  });

  it.each(files)('%s names sources that exist', (path) => {
    const named = [...read(path).matchAll(/`([\w.-]+\/src\/[\w./-]+\.(?:ts|js|md))`/g)].map(
      ([, file]) => file as string,
    );
    expect(named.filter((file) => !existsSync(join(root, 'packages', file)))).toEqual([]);
  });
});
