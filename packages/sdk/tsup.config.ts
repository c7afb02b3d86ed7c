import { readFile, writeFile } from 'node:fs/promises';
import { defineConfig, type Options } from 'tsup';
import { onLauncherGone } from '../../scripts/dev-process.mjs';

/** The tree shaker names the source map, and tsup names it again. */
const mapNamedOnce: NonNullable<Options['plugins']>[number] = {
  name: 'map-named-once',
  async buildEnd({ writtenFiles }) {
    for (const { name } of writtenFiles.filter((file) => /\.c?js$/.test(file.name))) {
      const code = await readFile(name, 'utf8');
      await writeFile(name, code.replace(/(\n\/\/# sourceMappingURL=\S+)(?:\s*\n\/\/# sourceMappingURL=\S+)+/, '$1'));
    }
  },
};

const shared = {
  outDir: 'dist',
  target: 'es2022' as const,
  sourcemap: true,
  // The package carries all it needs but `ws`, so that nobody who installs it has to match our versions of tRPC.
  noExternal: [/^@codelab\//, /^@trpc\//, 'diff'],
  treeshake: true,
  plugins: [mapNamedOnce],
  // A file each: whoever needs only the client loads nothing of the tools.
  splitting: false,
};

const builds: Options[] = [
  {
    ...shared,
    entry: { index: 'src/index.ts', node: 'src/node/index.ts' },
    format: ['esm', 'cjs'],
    platform: 'node',
    external: ['ws'],
    // tsup sets baseUrl by itself, which TypeScript 6 calls deprecated.
    dts: {
      // The types of the router have no program of their own.
      entry: { index: 'src/index.ts', node: 'src/node/index.ts', router: 'src/router.ts' },
      resolve: [/^@codelab\//],
      compilerOptions: { ignoreDeprecations: '6.0' },
    },
    clean: true,
  },
  {
    ...shared,
    entry: { browser: 'src/index.ts' },
    format: ['esm'],
    platform: 'browser',
    esbuildPlugins: [
      {
        name: 'browser-websocket',
        setup(build) {
          build.onResolve({ filter: /\/websocket\.ts$/ }, ({ resolveDir }) => ({
            path: `${resolveDir}/websocket.browser.ts`,
          }));
        },
      },
    ],
  },
];

export default defineConfig((overrides) => {
  if (overrides.watch) onLauncherGone(() => process.exit(0));
  return builds;
});
