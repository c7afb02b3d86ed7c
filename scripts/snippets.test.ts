import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { root } from './setup.mjs';
import { allSnippets, commandsIn, snippetsIn } from './snippets.mjs';

/** Documents whose TypeScript is no program. */
const SHAPES = ['PROTOCOL.md']; // `npm run check:generated` compares its shapes with the schemas.

/** JavaScript gives no types to parameters. */
const UNTYPED_PARAMETER = 7006;

/** Names that an earlier snippet of the same document has made. */
const FROM_BEFORE: Record<string, string> = {
  codelab: "declare const codelab: import('@codelab/sdk').Client;",
  session: "declare const session: import('@codelab/sdk').Session;",
};

const programs = allSnippets(['ts', 'js']).filter(({ path }) => !SHAPES.includes(path));
// Beside the SDK, so that packages are found; they are never written.
const files = new Map(
  programs.map((snippet, index) => {
    const before = programs.slice(0, index).filter(({ path }) => path === snippet.path);
    const missing = Object.keys(FROM_BEFORE).filter(
      (name) =>
        snippet.language === 'ts' &&
        new RegExp(`\\b${name}\\b`).test(snippet.code) &&
        !snippet.code.includes(`const ${name} =`) &&
        before.some(({ code }) => code.includes(`const ${name} =`)),
    );
    const code = [snippet.code, 'export {};', ...missing.map((name) => FROM_BEFORE[name])].join('\n');
    return [join(root, 'packages', 'sdk', `snippet-${index}.${snippet.language}`).replaceAll('\\', '/'), code];
  }),
);

let program: ts.Program;
beforeAll(() => {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => readFileSync(path, 'utf8'));
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      ...config.compilerOptions,
      checkJs: true,
      noUnusedLocals: false,
      noUnusedParameters: false,
      lib: ['ES2024', 'DOM', 'DOM.AsyncIterable', 'ESNext.Disposable'],
      paths: {
        '@codelab/sdk': ['./packages/sdk/src/index.ts'],
        '@codelab/sdk/node': ['./packages/sdk/src/node/index.ts'],
        '@codelab/sdk/router': ['./packages/sdk/src/router.ts'],
      },
    },
    root,
  );
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, version) => {
    const code = files.get(path);
    return code === undefined ? getSourceFile(path, version) : ts.createSourceFile(path, code, version, true);
  };
  program = ts.createProgram([...files.keys()], options, host);
}, 120_000);

describe('TypeScript and JavaScript in documents', () => {
  it.each(programs.map((snippet, index) => ({ ...snippet, index })))(
    '$path:$line compiles under strict and exactOptionalPropertyTypes',
    ({ index, line, language }) => {
      const source = program.getSourceFile([...files.keys()][index] as string);
      expect(program.getCompilerOptions()).toMatchObject({ strict: true, exactOptionalPropertyTypes: true });
      expect(
        [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
          .filter(({ code }) => language === 'ts' || code !== UNTYPED_PARAMETER)
          .map(
            ({ start = 0, messageText }) =>
              `${(source?.getLineAndCharacterOfPosition(start).line ?? 0) + line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
          ),
      ).toEqual([]);
    },
    120_000,
  );

  it('is there', () => {
    expect(programs.filter(({ path }) => /README(\.ru)?\.md$/.test(path)).length).toBeGreaterThan(10);
  });
});

describe('snippets', () => {
  it('are what stands between fences, with their line', () => {
    expect(snippetsIn('a\n```ts\nb\nc\n```\n\n  ```\n  d\n  ```\n', 'x.md')).toEqual([
      { path: 'x.md', line: 3, language: 'ts', code: 'b\nc\n' },
      { path: 'x.md', line: 8, language: '', code: '  d\n' },
    ]);
  });

  it('of a shell are commands: joined where a line goes on, without comments', () => {
    expect(commandsIn('# a\ncurl x \\\n  -d "#1"   # b\n\nls\n')).toEqual(['curl x -d "#1"', 'ls']);
  });
});
