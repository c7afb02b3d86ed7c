import { compilePathGlob, MAX_GLOB_LENGTH, standardTools } from '@codelab/protocol';
import { type JsonSchema, type PreviewContext, type Tool, type ToolContext, tool } from '../tools.ts';
import type { FileChange } from '../types.ts';
import { applyTo } from './apply-patch.ts';
import { commandEnvironment } from './command-environment.ts';
import { fileChange } from './file-change.ts';
import { type Folder, openFolder } from './folder.ts';
import { runCommand } from './run-command.ts';
import { createLineSearch } from './search.ts';

/** The time limit of one listing or search. */
const LOOK_MS = 60_000;
/** Limits the matching of one name with one pattern. */
const PATTERN_WORK = 1_000_000;
const MAX_LISTED = 1_000;
const MAX_MATCHES = 200;
/** A search is given up after so many files on which its expression takes too long. */
const MAX_SKIPPED = 3;
const MAX_LINE = 300;
const COMMAND_TIMEOUT_S = 120;

export interface WorkspaceToolsOptions {
  /** The folder that the tools are limited to; only `run_command` can do everything that the person can. */
  folder: string;
  /** Asks the person, for `prompt_user`. Without it that tool is left out. */
  promptUser?: (question: string, choices: string[] | undefined, context: ToolContext) => Promise<string>;
  /**
   * The environment of commands, taken as it is. A command's output goes to a model, so leave secrets out.
   * @default `process.env` without the settings and keys of CodeLab's services and variables named like a key of a model provider (`…_API_KEY`, `…_AUTH_TOKEN`,
   * `…_OAUTH_TOKEN`, `HF_TOKEN` and such)
   */
  env?: Record<string, string | undefined>;
}

type Args = Record<string, unknown>;

/** Creates the standard tools of an IDE for a folder of this machine: read_file, write_file, list_files, search_in_code, apply_patch, delete_file, run_command, prompt_user. */
export function workspaceTools({
  folder,
  promptUser,
  env = commandEnvironment(process.env),
}: WorkspaceToolsOptions): Record<string, Tool> {
  const open = openFolder(folder);
  const execute: Partial<Record<keyof typeof standardTools, (args: Args, context: ToolContext) => Promise<unknown>>> = {
    read_file: async ({ path, start_line, end_line }, context) =>
      toLines(
        await open(context).read(path as string),
        start_line as number | undefined,
        end_line as number | undefined,
      ),

    async write_file({ path, content }, context) {
      await open(context).write(path as string, content as string);
      return `${path} is written.`;
    },

    list_files: (args, context) => list(open(context), args, context.signal),
    search_in_code: (args, context) => search(open(context), args, context.signal),
    apply_patch: ({ patch }, context) => applyTo(open(context), patch as string),

    async delete_file({ path }, context) {
      await open(context).remove(path as string);
      return `${path} is deleted.`;
    },

    async run_command({ command, cwd = '.', timeout_seconds: seconds = COMMAND_TIMEOUT_S }, { signal }) {
      const result = await runCommand(command as string, {
        cwd: await open({}).locate(cwd as string),
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
  /** Of `apply_patch` the service knows the changes itself. */
  const preview: Partial<Record<string, (args: Args, context: PreviewContext) => Promise<FileChange[] | undefined>>> = {
    write_file: async ({ path, content }, context) => [
      await changeOf(open(context), path as string, content as string),
    ],
    async delete_file({ path }, context) {
      const change = await changeOf(open(context), path as string, undefined);
      // There is nothing to delete: the call fails.
      return change.change === 'create' ? undefined : [change];
    },
  };
  return Object.fromEntries(
    Object.entries(execute).map(([name, run]) => {
      const { inputSchema, description, kind, resource, timeoutMs } = standardTools[name as keyof typeof standardTools];
      const definition = { description, kind, input: inputSchema as JsonSchema, execute: run };
      const foresee = preview[name];
      return [
        name,
        tool<Args>({
          ...definition,
          ...(foresee === undefined ? {} : { preview: foresee }),
          ...(resource === undefined ? {} : { resource }),
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
        }),
      ];
    }),
  );
}

/** Returns what it would change to write a file, or to delete it: by the paths and rules that the call itself keeps to. */
async function changeOf(files: Folder, path: string, after: string | undefined): Promise<FileChange> {
  const { name, text: before, omitted } = await files.look(path);
  const change = fileChange(name, before, after);
  return omitted === undefined ? change : { ...change, hunks: [], omitted };
}

function toLines(text: string, start = 1, end = Number.POSITIVE_INFINITY): string {
  if (start === 1 && end === Number.POSITIVE_INFINITY) return text;
  const lines = text.split('\n');
  if (start > lines.length) throw new Error(`The file has ${lines.length} lines.`);
  return lines.slice(start - 1, end).join('\n');
}

/** Compiles a pattern of names. The function throws where matching takes too long. */
function matcher(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true;
  if (pattern.length > MAX_GLOB_LENGTH)
    throw new Error(`The pattern is too long: at most ${MAX_GLOB_LENGTH} characters.`);
  const covers = compilePathGlob(pattern, false);
  return (name) => {
    const isCovered = covers(name.replace(/\/$/, ''), { left: PATTERN_WORK });
    if (isCovered === undefined)
      throw new Error(`It takes too long to tell whether ${name} is one of the pattern's: write a simpler one.`);
    return isCovered;
  };
}

/** Returns the results so far, with the reason for the end of the search. */
function soFar(found: string[], why: string): string {
  return `${found.length === 0 ? 'Nothing was found so far.' : found.join('\n')}\n[${why}]`;
}

const TOO_LONG = `stopped after ${LOOK_MS / 1000} s: name a folder or a pattern`;

async function list(files: Folder, { path = '.', pattern, recursive }: Args, signal: AbortSignal): Promise<string> {
  const isRecursive = (recursive as boolean | undefined) ?? pattern !== undefined;
  const wanted = matcher(pattern as string | undefined);
  const deadline = performance.now() + LOOK_MS;
  const found: string[] = [];
  for await (const name of files.walk(path as string, isRecursive)) {
    if (signal.aborted) throw new Error('It was cancelled.');
    if (performance.now() > deadline) return soFar(found, TOO_LONG);
    if (!wanted(name)) continue;
    if (found.length === MAX_LISTED) return soFar(found, 'there are more: name a folder or a pattern');
    found.push(name);
  }
  return found.length === 0 ? 'Nothing was found.' : found.join('\n');
}

async function search(files: Folder, args: Args, signal: AbortSignal): Promise<string> {
  const { query, path = '.', pattern, is_regex: isRegex = false, case_sensitive: isSensitive = false } = args;
  const expression = toExpression(query as string, isRegex as boolean, isSensitive as boolean);
  const wanted = matcher(pattern as string | undefined);
  const deadline = performance.now() + LOOK_MS;
  const lines = createLineSearch({ expression, maxLine: MAX_LINE, signal });
  const found: string[] = [];
  const skipped: string[] = [];
  try {
    for await (const name of files.walk(path as string, true)) {
      if (signal.aborted) throw new Error('It was cancelled.');
      if (performance.now() > deadline) return soFar(found, TOO_LONG);
      if (name.endsWith('/') || !wanted(name)) continue;
      const text = await files.readFound(name);
      if (text === undefined) continue;
      const here = await lines.linesOf(text, MAX_MATCHES + 1 - found.length);
      if (here === undefined && skipped.push(name) === MAX_SKIPPED)
        throw new Error(`The expression takes too long, on ${skipped.join(', ')}: write a simpler one.`);
      found.push(...(here ?? []).map(({ line, text: shown }) => `${name}:${line}: ${shown}`));
      if (found.length > MAX_MATCHES)
        return soFar(found.slice(0, MAX_MATCHES), 'there are more: search for something rarer, or name a folder');
    }
  } finally {
    lines.close();
  }
  if (skipped.length > 0)
    return soFar(found, `left out, because the expression takes too long there: ${skipped.join(', ')}`);
  return found.length === 0 ? 'Nothing was found.' : found.join('\n');
}

function toExpression(query: string, isRegex: boolean, isSensitive: boolean): RegExp {
  try {
    return new RegExp(isRegex ? query : query.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), isSensitive ? 'm' : 'im');
  } catch (error) {
    throw new Error(`The query is no regular expression: ${(error as Error).message}`);
  }
}
