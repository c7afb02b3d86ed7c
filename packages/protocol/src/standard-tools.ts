import type { ToolSpec } from './tool.ts';

const path = { type: 'string', description: 'Relative to the workspace folder' };

function spec(
  tool: Pick<ToolSpec, 'name' | 'description' | 'kind'> & Partial<ToolSpec>,
  properties: Record<string, object>,
  required: string[],
): ToolSpec {
  return { ...tool, inputSchema: { type: 'object', properties, required, additionalProperties: false } };
}

/** The tools that every IDE is expected to have; one that can't announce its tools is taken to have these. PROTOCOL.md §10. */
export const standardTools = {
  read_file: spec(
    { name: 'read_file', description: 'Reads a text file, or some lines of it.', kind: 'read', resource: 'path' },
    {
      path,
      start_line: { type: 'integer', minimum: 1, description: 'The first line, from 1. Default: 1' },
      end_line: { type: 'integer', minimum: 1, description: 'The last line. Default: the last one of the file' },
    },
    ['path'],
  ),
  write_file: spec(
    {
      name: 'write_file',
      description:
        'Writes a whole text file, with the folders it needs. What was in it is gone: for changes prefer apply_patch.',
      kind: 'write',
      resource: 'path',
    },
    { path, content: { type: 'string' } },
    ['path', 'content'],
  ),
  list_files: spec(
    {
      name: 'list_files',
      description: 'Lists files and folders. Folders end with a slash.',
      kind: 'read',
      resource: 'path',
    },
    {
      path: { ...path, description: 'A folder, relative to the workspace. Default: the workspace' },
      pattern: { type: 'string', description: 'A glob over the paths, such as **/*.ts' },
      recursive: { type: 'boolean', description: 'Default: false, true with a pattern' },
    },
    [],
  ),
  search_in_code: spec(
    {
      name: 'search_in_code',
      description:
        'Finds lines in the files of the workspace. Answers with path:line: text. Files on which an expression takes more than 2 s are left out, and named.',
      kind: 'read',
      resource: 'path',
    },
    {
      query: { type: 'string', minLength: 1, description: 'Text, or a regular expression where is_regex is true' },
      path: { ...path, description: 'A folder or file to search in. Default: the workspace' },
      pattern: { type: 'string', description: 'A glob over the paths, such as **/*.ts' },
      is_regex: { type: 'boolean', description: 'Default: false' },
      case_sensitive: { type: 'boolean', description: 'Default: false' },
    },
    ['query'],
  ),
  apply_patch: spec(
    {
      name: 'apply_patch',
      description:
        'Changes files by a unified diff with ---, +++ and @@ lines, of one or several files. /dev/null as the old file creates, as the new one deletes. All of it is applied, or nothing.',
      kind: 'write',
    },
    { patch: { type: 'string', minLength: 1 } },
    ['patch'],
  ),
  delete_file: spec(
    { name: 'delete_file', description: 'Deletes a file.', kind: 'delete', resource: 'path' },
    { path },
    ['path'],
  ),
  run_command: spec(
    {
      name: 'run_command',
      description: 'Runs a command in a shell in the workspace folder. Answers with its exit code and output.',
      kind: 'execute',
      resource: 'command',
      timeoutMs: 600_000,
    },
    {
      command: { type: 'string', minLength: 1 },
      cwd: { ...path, description: 'The folder to run it in, relative to the workspace. Default: the workspace' },
      timeout_seconds: { type: 'integer', minimum: 1, maximum: 590, description: 'Default: 120' },
    },
    ['command'],
  ),
  prompt_user: spec(
    {
      name: 'prompt_user',
      description: 'Asks the person a question, and waits for the answer.',
      kind: 'read',
      timeoutMs: 3_600_000,
    },
    {
      question: { type: 'string', minLength: 1 },
      choices: { type: 'array', items: { type: 'string' }, maxItems: 20, description: 'Answers to choose from' },
    },
    ['question'],
  ),
} satisfies Record<string, ToolSpec>;
