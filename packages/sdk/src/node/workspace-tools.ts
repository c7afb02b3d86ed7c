import { standardTools } from '@codelab/protocol';
import { applyPatch, parsePatch } from 'diff';
import picomatch from 'picomatch';
import { type JsonSchema, type Tool, type ToolContext, tool } from '../tools.ts';
import { type Folder, openFolder } from './folder.ts';
import { runCommand } from './run-command.ts';

const MAX_LISTED = 1_000;
const MAX_MATCHES = 200;
const MAX_LINE = 300;
const COMMAND_TIMEOUT_S = 120;

export interface WorkspaceToolsOptions {
  /** The tools see this folder, and nothing outside it; only `run_command` is as free as the person who runs it. */
  folder: string;
  /** Asks the person, for `prompt_user`. Without it there is no such tool. */
  promptUser?: (question: string, choices: string[] | undefined, context: ToolContext) => Promise<string>;
  /** What commands find in their environment. Default: this process's. */
  env?: Record<string, string | undefined>;
}

type Args = Record<string, unknown>;

/** The standard tools of an IDE, on a folder of this machine: read_file, write_file, list_files, search_in_code, apply_patch, delete_file, run_command, prompt_user. */
export function workspaceTools({ folder, promptUser, env = process.env }: WorkspaceToolsOptions): Record<string, Tool> {
  const files = openFolder(folder);
  const execute: Partial<Record<keyof typeof standardTools, (args: Args, context: ToolContext) => Promise<unknown>>> = {
    read_file: async ({ path, start_line, end_line }) =>
      toLines(await files.read(path as string), start_line as number | undefined, end_line as number | undefined),

    async write_file({ path, content }) {
      await files.write(path as string, content as string);
      return `${path} is written.`;
    },

    async list_files({ path = '.', pattern, recursive }) {
      const isRecursive = (recursive as boolean | undefined) ?? pattern !== undefined;
      const wanted = matcher(pattern as string | undefined);
      const found: string[] = [];
      for await (const name of files.walk(path as string, isRecursive)) {
        if (!wanted(name)) continue;
        if (found.length === MAX_LISTED) return `${found.join('\n')}\n[there are more: name a folder or a pattern]`;
        found.push(name);
      }
      return found.length === 0 ? 'Nothing was found.' : found.join('\n');
    },

    search_in_code: (args, { signal }) => search(files, args, signal),
    apply_patch: ({ patch }) => applyTo(files, patch as string),

    async delete_file({ path }) {
      await files.remove(path as string);
      return `${path} is deleted.`;
    },

    async run_command({ command, cwd = '.', timeout_seconds: seconds = COMMAND_TIMEOUT_S }, { signal }) {
      const result = await runCommand(command as string, {
        cwd: await files.locate(cwd as string),
        timeoutMs: (seconds as number) * 1000,
        signal,
        env,
      });
      const end =
        result.ended === 'timeout' ? `It was ended after ${seconds} s.` : `It ended with exit code ${result.exitCode}.`;
      return `${end}\n${result.output}`;
    },

    ...(promptUser === undefined
      ? {}
      : {
          prompt_user: ({ question, choices }, context) =>
            promptUser(question as string, choices as string[] | undefined, context),
        }),
  };
  return Object.fromEntries(
    Object.entries(execute).map(([name, run]) => {
      const { inputSchema, description, kind, resource, timeoutMs } = standardTools[name as keyof typeof standardTools];
      const definition = { description, kind, input: inputSchema as JsonSchema, execute: run };
      return [
        name,
        tool<Args>({
          ...definition,
          ...(resource === undefined ? {} : { resource }),
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
        }),
      ];
    }),
  );
}

function toLines(text: string, start = 1, end = Number.POSITIVE_INFINITY): string {
  if (start === 1 && end === Number.POSITIVE_INFINITY) return text;
  const lines = text.split('\n');
  if (start > lines.length) throw new Error(`The file has ${lines.length} lines.`);
  return lines.slice(start - 1, end).join('\n');
}

function matcher(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true;
  const matches = picomatch(pattern, { dot: true });
  return (name) => matches(name.replace(/\/$/, ''));
}

async function search(files: Folder, args: Args, signal: AbortSignal): Promise<string> {
  const { query, path = '.', pattern, is_regex: isRegex = false, case_sensitive: isSensitive = false } = args;
  let expression: RegExp;
  try {
    const source = isRegex ? (query as string) : (query as string).replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    expression = new RegExp(source, isSensitive ? 'm' : 'im');
  } catch (error) {
    throw new Error(`The query is no regular expression: ${(error as Error).message}`);
  }
  const wanted = matcher(pattern as string | undefined);
  const found: string[] = [];
  for await (const name of files.walk(path as string, true)) {
    if (signal.aborted) throw new Error('It was cancelled.');
    if (name.endsWith('/') || !wanted(name)) continue;
    const text = await files.read(name).catch(() => undefined);
    if (text === undefined || !expression.test(text)) continue;
    for (const [index, line] of text.split('\n').entries()) {
      if (!expression.test(line)) continue;
      if (found.length === MAX_MATCHES)
        return `${found.join('\n')}\n[there are more: search for something rarer, or name a folder]`;
      found.push(`${name}:${index + 1}: ${line.trim().slice(0, MAX_LINE)}`);
    }
  }
  return found.length === 0 ? 'Nothing was found.' : found.join('\n');
}

/** All of the patch, or nothing of it. */
async function applyTo(files: Folder, patch: string): Promise<string> {
  const changes: Array<{ path: string; content: string | undefined }> = [];
  for (const file of parsePatch(patch)) {
    const path = pathOf(file.newFileName) ?? pathOf(file.oldFileName);
    if (path === undefined) throw new Error('Each file of the patch needs its --- and +++ lines.');
    const isNew = pathOf(file.oldFileName) === undefined;
    await files.locate(path);
    const before = isNew ? '' : await files.read(path);
    if (isNew && (await exists(files, path))) throw new Error(`"${path}" is there already: patch it, or write_file.`);
    const after = applyPatch(before, file, { fuzzFactor: 0, autoConvertLineEndings: true });
    if (after === false)
      throw new Error(
        `The patch does not fit ${path}: read the file again, and make the patch from what is there now.`,
      );
    changes.push({ path, content: pathOf(file.newFileName) === undefined ? undefined : after });
  }
  if (changes.length === 0) throw new Error('The patch has no changes.');
  for (const { path, content } of changes) {
    if (content === undefined) await files.remove(path);
    else await files.write(path, content);
  }
  return `Changed: ${changes.map(({ path }) => path).join(', ')}.`;
}

async function exists(files: Folder, path: string): Promise<boolean> {
  return files.read(path).then(
    () => true,
    (error: Error) => !error.message.startsWith('There is no file'),
  );
}

function pathOf(name: string | undefined): string | undefined {
  return name === undefined || name === '' || name === '/dev/null' ? undefined : name.replace(/^[ab]\//, '');
}
