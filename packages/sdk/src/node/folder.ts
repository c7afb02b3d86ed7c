import { realpathSync } from 'node:fs';
import { lstat, mkdir, opendir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** What nobody means when they say "all files". */
const SKIPPED = new Set(['.git', 'node_modules', '.hg', '.svn']);

/** The files of one folder, and none outside it, whatever links and dots a path has. Every error is one that a model can act on. */
export interface Folder {
  readonly path: string;
  /** The real path of something in the folder. */
  locate(path: string): Promise<string>;
  /** A text file. */
  read(path: string): Promise<string>;
  /** Writes a file as a whole, or not at all. */
  write(path: string, content: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Paths of what is there, folders with a slash at their end; relative, with slashes, in order. */
  walk(path: string, isRecursive: boolean): AsyncGenerator<string>;
}

export function openFolder(folder: string): Folder {
  const root = realpathSync(folder);

  const locate = async (path: string): Promise<string> => {
    const asked = resolve(root, path);
    // What does not exist yet is where the nearest folder that does is.
    for (let existing = asked; ; existing = dirname(existing)) {
      const real = await realPath(existing);
      if (real === undefined) continue;
      const found = join(real, relative(existing, asked));
      if (found === root || found.startsWith(root + sep)) return found;
      throw new Error(`"${path}" is outside the workspace.`);
    }
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
      const waiting = [start];
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const entries = [];
        for await (const entry of await opendir(next)) entries.push(entry);
        entries.sort((a, b) => (a.name < b.name ? -1 : 1));
        const folders: string[] = [];
        for (const entry of entries) {
          if (SKIPPED.has(entry.name)) continue;
          const full = join(next, entry.name);
          yield shown(root, full) + (entry.isDirectory() ? '/' : '');
          // Links are not followed: they may lead out, or round in a circle.
          if (entry.isDirectory()) folders.push(full);
        }
        if (isRecursive) waiting.unshift(...folders);
      }
    },
  };
}

async function realPath(path: string): Promise<string | undefined> {
  try {
    return realpathSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    // A link into nowhere would be followed by whoever writes to it.
    const link = await lstat(path).catch(() => undefined);
    if (link?.isSymbolicLink()) throw new Error(`"${path}" is a link that leads nowhere.`);
    return undefined;
  }
}

function shown(root: string, path: string): string {
  return relative(root, path).split(sep).join('/') || '.';
}
