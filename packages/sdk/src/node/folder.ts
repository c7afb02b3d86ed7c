import { realpathSync } from 'node:fs';
import { lstat, mkdir, opendir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { compileRuleGlob, isOutside, normalizePath } from '@codelab/protocol';
import { createPacer } from './pacer.ts';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Folders that listings and searches skip. */
const SKIPPED = new Set(['.git', 'node_modules', '.hg', '.svn']);
/** Limits the matching of one path with one rule. A path that is not matched by then is left out. */
const RULE_WORK = 200_000;

/** Fails on what is no UTF-8, and keeps a byte order mark. */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The rules for the paths of a call: a part of `ToolContext`. */
export interface PathPolicy {
  /** The paths that the rules were checked for. Without them: those of the call's arguments. */
  readonly paths?: readonly string[] | undefined;
  /** Globs of the paths that rules deny. */
  readonly denied?: readonly string[] | undefined;
  /** The session's project, where that is a path: absolute globs may name the folder by it. */
  readonly root?: string | undefined;
}

/**
 * The files of one folder, and none outside it, whatever links and dots a path has; none that a rule denies, and none by another name than the one that the rules
 * were checked for. A model can act on every error.
 */
export interface Folder {
  readonly path: string;
  /** Returns the real path of something in the folder. */
  locate(path: string): Promise<string>;
  /** Reads a text file. */
  read(path: string): Promise<string>;
  /**
   * Reads what is at a path, for a person: the text there, or why it is not shown. `name` is its path in the folder; `text` is undefined where there is no file.
   * Throws where `read` would, but for what is no text, or too large.
   */
  look(path: string): Promise<{ name: string; text: string | undefined; omitted?: 'binary' | 'too_large' }>;
  /** Reads a file that `walk` has found; returns undefined where it is no text, is too large, or is a link. */
  readFound(path: string): Promise<string | undefined>;
  /** Writes a file as a whole, or not at all. */
  write(path: string, content: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Yields the relative paths of files and folders, in order; folders end with a slash. Leaves out denied ones. */
  walk(path: string, isRecursive: boolean): AsyncGenerator<string>;
}

/** Opens a folder for the calls of tools. Throws where there is no such folder. */
export function openFolder(folder: string): (policy: PathPolicy) => Folder {
  const root = realpathSync.native(folder);
  return (policy) =>
    createFolder(root, [root, resolve(folder), ...(policy.root === undefined ? [] : [policy.root])], policy);
}

/** `names`: the folder's absolute paths that globs may use. */
function createFolder(root: string, names: string[], policy: PathPolicy): Folder {
  const roots = [...new Set(names)];
  const denied = (policy.denied ?? []).map((glob) => compileRuleGlob(glob, { isWide: true, roots, realPath: leadsTo }));
  const isDenied = (name: string) => denied.some((covers) => covers(name, { left: RULE_WORK }) !== false);

  const locate = async (path: string): Promise<string> => {
    const real = await realPathIn(root, path);
    const name = shown(root, real);
    if (isDenied(name)) throw new Error(`This was not done. A rule denies "${name}".`);
    const meant = normalizePath(path);
    const asked = (policy.paths ?? [meant]).map((each) => each.normalize('NFC'));
    // A person who was asked about what seems to lead out has said yes to that very path.
    const isAsked =
      asked.includes(name.normalize('NFC')) || (isOutside(meant) && asked.includes(meant.normalize('NFC')));
    if (!isAsked) throw new Error(`"${path}" is really "${name}": call it by that name.`);
    return real;
  };

  return {
    path: root,
    locate,

    async read(path) {
      const file = await locate(path);
      const info = await stat(file).catch(() => undefined);
      if (info === undefined) throw new Error(`There is no file "${path}".`);
      if (info.isDirectory()) throw new Error(`"${path}" is a folder: use list_files.`);
      if (!info.isFile()) throw new Error(`"${path}" is no file.`);
      if (info.size > MAX_FILE_BYTES)
        throw new Error(`"${path}" has ${info.size} bytes: that is too large to be read.`);
      const bytes = await readFile(file);
      if (bytes.includes(0)) throw new Error(`"${path}" is not a text file.`);
      return bytes.toString('utf8');
    },

    async look(path) {
      const file = await locate(path);
      const name = shown(root, file);
      const info = await stat(file).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
        throw error;
      });
      if (info === undefined) return { name, text: undefined };
      if (!info.isFile()) throw new Error(`"${path}" is no file.`);
      if (info.size > MAX_FILE_BYTES) return { name, text: '', omitted: 'too_large' };
      try {
        return { name, text: strictUtf8.decode(await readFile(file)) };
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        return { name, text: '', omitted: 'binary' };
      }
    },

    async readFound(path) {
      const file = join(root, path);
      try {
        if (realpathSync.native(file) !== file) return undefined;
        const info = await stat(file);
        if (!info.isFile() || info.size > MAX_FILE_BYTES) return undefined;
        const bytes = await readFile(file);
        return bytes.includes(0) ? undefined : bytes.toString('utf8');
      } catch {
        // It was deleted meanwhile, or cannot be read.
        return undefined;
      }
    },

    async write(path, content) {
      const file = await locate(path);
      const info = await lstat(file).catch(() => undefined);
      if (info?.isDirectory()) throw new Error(`"${path}" is a folder.`);
      await mkdir(dirname(file), { recursive: true });
      const part = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}.part`;
      try {
        await writeFile(part, content, info === undefined ? {} : { mode: info.mode });
        await rename(part, file);
      } catch (error) {
        await rm(part, { force: true });
        throw error;
      }
    },

    async remove(path) {
      const file = await locate(path);
      const info = await lstat(file).catch(() => undefined);
      if (info === undefined) throw new Error(`There is no file "${path}".`);
      if (info.isDirectory()) throw new Error(`"${path}" is a folder: only files are deleted.`);
      await rm(file);
    },

    async *walk(path, isRecursive) {
      const start = await locate(path);
      const info = await stat(start).catch(() => undefined);
      if (info === undefined) throw new Error(`There is no folder "${path}".`);
      if (!info.isDirectory()) {
        yield shown(root, start);
        return;
      }
      const pace = createPacer();
      const waiting = [start];
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const entries = [];
        for await (const entry of await opendir(next)) entries.push(entry);
        entries.sort((a, b) => (a.name < b.name ? -1 : 1));
        const folders: string[] = [];
        for (const entry of entries) {
          await pace();
          if (SKIPPED.has(entry.name)) continue;
          const full = join(next, entry.name);
          const name = shown(root, full);
          if (!isDenied(name)) yield name + (entry.isDirectory() ? '/' : '');
          // Links are not followed: they may lead out, or round in a circle.
          if (entry.isDirectory()) folders.push(full);
        }
        if (isRecursive) waiting.push(...folders.reverse());
      }
    },
  };
}

async function realPathIn(root: string, path: string): Promise<string> {
  const asked = resolve(root, path);
  // What does not exist yet is where the nearest folder that does is.
  for (let existing = asked; ; existing = dirname(existing)) {
    const real = await realPath(existing);
    if (real === undefined) continue;
    const found = join(real, relative(existing, asked));
    if (found === root || found.startsWith(root + sep)) {
      // "file:stream" is another name of the file there.
      if (sep === '\\' && found.slice(root.length).includes(':')) throw new Error(`"${path}" is no path.`);
      return found;
    }
    throw new Error(`"${path}" is outside the workspace.`);
  }
}

async function realPath(path: string): Promise<string | undefined> {
  try {
    return realpathSync.native(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    // Writing to a broken link would create its target.
    const link = await lstat(path).catch(() => undefined);
    if (link?.isSymbolicLink()) throw new Error(`"${path}" is a link that leads nowhere.`);
    return undefined;
  }
}

function shown(root: string, path: string): string {
  return relative(root, path).split(sep).join('/') || '.';
}

/** Resolves the links of an absolute path, as far as it exists. */
function leadsTo(path: string): string {
  const full = resolve(path.replace(/^~(?=\/|$)/, homedir()));
  for (let existing = full; ; existing = dirname(existing)) {
    try {
      return join(realpathSync.native(existing), relative(existing, full));
    } catch {
      if (existing === dirname(existing)) return full;
    }
  }
}
