// The dependency rule of ARCHITECTURE.md.
const services = ['llm-proxy', 'agent-runtime', 'gateway'];
const inPackage = (name) => `^packages/${name}/`;
const tests = '\\.(test|test-d)\\.ts$';

/** The folders of a service, from the doors down: each may use those after it, and none of those before. */
const layers = {
  'agent-runtime': [
    ['api'],
    ['session'],
    ['run', 'journal'],
    ['machine'],
    ['model', 'tools'],
    ['policy', 'agents', 'events', 'store'],
    ['lib'],
  ],
  'llm-proxy': [
    ['api'],
    ['completion'],
    ['access'],
    ['routing'],
    ['wire'],
    ['providers'],
    ['config', 'http-client'],
    ['errors'],
    ['lib'],
  ],
};

/** No arrow back up, and none between two folders side by side. `app.ts`, `main.ts` and `cli/` put it all together. */
const layerRules = Object.entries(layers).flatMap(([name, floors]) =>
  floors.flatMap((floor, index) =>
    floor.map((folder) => {
      const allowed = [folder, ...floors.slice(index + 1).flat()];
      return {
        name: `${name}-${folder}-uses-what-is-below`,
        comment: `docs/architecture.md: ${folder} may import ${allowed.join(', ')}.`,
        severity: 'error',
        from: { path: `^packages/${name}/src/${folder}/`, pathNot: tests },
        to: { path: `^packages/${name}/src/`, pathNot: [`^packages/${name}/src/(${allowed.join('|')})/`, tests] },
      };
    }),
  ),
);

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'machine-is-pure',
      comment: 'A decision depends on its arguments alone: no clock, no disk, no package.',
      severity: 'error',
      from: { path: '^packages/agent-runtime/src/machine/', pathNot: tests },
      to: {
        path: ['node_modules/', '^packages/service-kit/', '^(node:)?[a-z_/]+$'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'protocol-imports-nobody',
      comment: 'protocol has schemas and pure functions: it imports zod only.',
      severity: 'error',
      from: { path: inPackage('protocol'), pathNot: tests },
      to: { pathNot: [inPackage('protocol'), 'node_modules/zod/'] },
    },
    {
      name: 'service-kit-imports-protocol-only',
      severity: 'error',
      from: { path: inPackage('service-kit') },
      to: { path: '^packages/(?!service-kit/|protocol/)' },
    },
    ...services.map((name) => ({
      name: `${name}-takes-only-types-of-others`,
      comment: "A service takes another one's types only, by its ./router.",
      severity: 'error',
      from: { path: inPackage(name) },
      to: { path: `^packages/(?!${name}/|protocol/|service-kit/)`, dependencyTypesNot: ['type-only'] },
    })),
    {
      name: 'official-clients-are-loaded-at-first-use',
      comment:
        'docs/adr/0026-official-clients-list-models.md: a start waits for neither, and the hot path needs neither.',
      severity: 'error',
      from: { path: '^packages/[^/]+/src/', pathNot: tests },
      to: {
        path: 'node_modules/(openai|@anthropic-ai/sdk)/',
        dynamic: false,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'sdk-has-no-server-code',
      severity: 'error',
      from: { path: inPackage('sdk'), pathNot: [tests, '^packages/sdk/src/node/', '^packages/sdk/tsup.config.ts$'] },
      to: {
        pathNot: [inPackage('sdk'), inPackage('protocol'), 'node_modules/(@trpc/client|ws|@types/ws)/'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'sdk-node-has-files-and-processes',
      severity: 'error',
      from: { path: '^packages/sdk/src/node/', pathNot: tests },
      to: {
        pathNot: [
          '^packages/sdk/src/(node/|tools\\.ts$)',
          inPackage('protocol'),
          '^(node:)?(fs|fs/promises|os|path|child_process|worker_threads)$',
          'node_modules/(@types/)?diff/',
        ],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'sdk-client-runs-anywhere',
      severity: 'error',
      from: { path: inPackage('sdk'), pathNot: [tests, '^packages/sdk/src/node/'] },
      to: { path: '^packages/sdk/src/node/' },
    },
    {
      name: 'sdk-takes-only-gateways-types',
      severity: 'error',
      from: { path: inPackage('sdk') },
      to: { path: '^packages/(llm-proxy|agent-runtime|service-kit)/' },
    },
    {
      name: 'no-tests-in-products',
      severity: 'error',
      from: { path: '^packages/[^/]+/src/', pathNot: tests },
      to: { path: `^tests/|${tests}` },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['types', 'import', 'node', 'default'] },
  },
};
