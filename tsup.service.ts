import { readFileSync } from 'node:fs';
import { defineConfig, type Options } from 'tsup';
import { createDevProcess } from './scripts/dev-process.mjs';

/** How each service is built: one file, the workspace's own packages inside, everything else from node_modules. */
export function serviceConfig(name: string, entry: Record<string, string> = {}): ReturnType<typeof defineConfig> {
  return defineConfig((overrides: Options) => {
    const watching = overrides.watch !== undefined && overrides.watch !== false;
    const dev = watching ? createDevProcess(name) : undefined;
    return {
      entry: { main: 'src/main.ts', ...entry },
      format: ['esm'],
      target: 'node20',
      platform: 'node',
      noExternal: [/^@codelab\//],
      // A file each, with nothing shared between them.
      splitting: false,
      external: [...dependenciesOf('protocol'), ...dependenciesOf('service-kit')],
      sourcemap: true,
      clean: !watching,
      // A path of another package begins with `..`, which `**` does not match.
      ignoreWatch: ['**/*.test{,-d}.ts', '../*/src/**/*.test{,-d}.ts'],
      ...(watching ? { silent: true } : {}),
      ...(dev === undefined ? {} : { onSuccess: async () => dev.restart() }),
    };
  });
}

/** What a package that goes into the bundle needs from node_modules. */
function dependenciesOf(name: string): string[] {
  const manifest = JSON.parse(readFileSync(new URL(`./packages/${name}/package.json`, import.meta.url), 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  return Object.keys(manifest.dependencies ?? {}).filter((dependency) => !dependency.startsWith('@codelab/'));
}
