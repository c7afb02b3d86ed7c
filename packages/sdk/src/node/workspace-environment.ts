import { execFile } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { arch, release, type } from 'node:os';
import { MAX_INSTRUCTIONS, wholePart } from '@codelab/protocol';
import type { Environment } from '../types.ts';
import { openFolder } from './folder.ts';

const GIT_TIMEOUT_MS = 3_000;
const INSTRUCTIONS = 'AGENTS.md';
const CUT = `\n[The rest is left out here: read_file has all of ${INSTRUCTIONS}.]`;

export interface WorkspaceEnvironmentOptions {
  folder: string;
}

/** Returns what the model should know of a folder of this machine: the system, the date, the state of git, and `AGENTS.md` of the folder itself (32 Ki characters). */
export async function workspaceEnvironment({ folder }: WorkspaceEnvironmentOptions): Promise<Environment> {
  const path = realpathSync.native(folder);
  const [git, instructions] = await Promise.all([gitState(path), readInstructions(path)]);
  return {
    folder: path,
    system: `${type()} ${release()} ${arch()}`,
    date: toDay(new Date()),
    ...(git === undefined ? {} : { git }),
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/** The local day. */
function toDay(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Returns undefined where there is no git, or no repository. */
async function gitState(folder: string): Promise<Environment['git']> {
  const status = await new Promise<string>((resolve) => {
    execFile(
      'git',
      // A repository's own configuration must start no monitor here.
      ['-c', 'core.fsmonitor=false', '-C', folder, 'status', '--porcelain=v2', '--branch', '--ignore-submodules'],
      { timeout: GIT_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024, env: { ...process.env, GIT_OPTIONAL_LOCKS: '0' } },
      (error, stdout) => resolve(error === null ? stdout : ''),
    );
  });
  const lines = status.split('\n').filter((line) => line !== '');
  const branch = lines.find((line) => line.startsWith('# branch.head '))?.slice('# branch.head '.length);
  if (branch === undefined) return undefined;
  return { branch: branch.slice(0, 250), isDirty: lines.some((line) => !line.startsWith('#')) };
}

/** Reads the instructions, where they are a file of the folder: no link leads elsewhere. */
async function readInstructions(folder: string): Promise<string | undefined> {
  const text = await openFolder(folder)({}).readFound(INSTRUCTIONS);
  if (text === undefined || text.length <= MAX_INSTRUCTIONS) return text;
  return `${wholePart(text, 0, MAX_INSTRUCTIONS - CUT.length - 1)}${CUT}`;
}
