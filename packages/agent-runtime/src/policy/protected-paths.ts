import { compilePathGlob, type GlobWork } from '@codelab/protocol';

/**
 * Files that run by themselves (as a hook, a task, a shell's or an editor's settings, a CI job) or hold secrets. A rule that allows other files never covers
 * these. Files that run only when a person runs them, such as `package.json` or a test, are not among them. PROTOCOL.md §10 has the list.
 */
export const PROTECTED_PATHS = [
  '**/.git/**',
  '**/.gitmodules',
  '**/.hg/**',
  '**/.svn/**',
  '**/.husky/**',
  '**/.githooks/**',
  '**/.vscode/**',
  '**/*.code-workspace',
  '**/.idea/**',
  '**/.vs/**',
  '**/.zed/**',
  '**/.cursor/**',
  '**/.devcontainer/**',
  '**/.codelab/**',
  '**/.claude/**',
  '**/.mcp.json',
  '**/.github/workflows/**',
  '**/.github/actions/**',
  '**/.gitlab-ci.yml',
  '**/.circleci/**',
  '**/Jenkinsfile',
  '**/azure-pipelines.yml',
  '**/.env*',
  '**/.npmrc',
  '**/.yarnrc*',
  '**/.pypirc',
  '**/.netrc',
  '**/.ssh/**',
  '**/.gnupg/**',
  '**/.aws/**',
  '**/.bash*',
  '**/.profile',
  '**/.zsh*',
  '**/.zprofile',
  '**/.zlog*',
  '**/.config/fish/**',
];

const compiled = PROTECTED_PATHS.map((glob) => ({
  covers: compilePathGlob(glob, true),
  /** The glob without its wildcards: `.git`. */
  name: glob
    .replace(/^\*\*\//, '')
    .replace(/^\*|\/\*\*$|\*$/g, '')
    .toLowerCase(),
}));

/** Returns the names of the protections that cover a path; empty where none does. */
export function protectionsOf(path: string, work: GlobWork): string[] {
  return compiled.flatMap(({ covers, name }) => (covers(path, work) === false ? [] : [name]));
}

/** True where the glob spells out each protected name, so that its author meant it. */
export function namesProtected(glob: string, protections: string[]): boolean {
  const written = glob.toLowerCase();
  return protections.every((name) => written.includes(name));
}
