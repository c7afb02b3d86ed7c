import { existsSync, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { SettingsError } from './env.ts';
import type { Logger } from './logger.ts';

/** An editor's save is several changes. */
const SETTLE_MS = 50;

export interface ConfigOptions<T> {
  /** Names the configuration in the log. */
  name: string;
  /** Reads it. Returns undefined where nothing has changed; throws `SettingsError` where it is wrong. */
  read(): T | undefined;
  /** Puts it to use. Returns what the log shows of it. */
  apply(config: T): object;
  /** Returns what the log shows of an error that is no `SettingsError`. @default `{ err: error }` */
  toLogFields?: (error: unknown) => object;
  log: Logger;
}

/**
 * Reads and applies a configuration, and again on each save of one of `paths`: files, which may be made later, or folders.
 * Throws what is wrong with the first version; a later one that is wrong is logged, and the one before it stays.
 */
export function watchConfig<T>(
  paths: string[],
  { name, read, apply, toLogFields = (err) => ({ err }), log }: ConfigOptions<T>,
): { close(): void } {
  const load = () => {
    const config = read();
    return config === undefined ? undefined : apply(config);
  };
  load();
  const reload = () => {
    const path = paths.find((candidate) => existsSync(candidate)) ?? paths[0];
    try {
      const applied = load();
      if (applied !== undefined) log.info({ path, ...applied, event: 'config.reloaded' }, `${name} reloaded`);
    } catch (error) {
      const fields = error instanceof SettingsError ? { mistakes: error.mistakes } : toLogFields(error);
      log.error({ path, ...fields, event: 'config.rejected' }, `${name} could not be reloaded, the old one stays`);
    }
  };
  const watchers = paths.map((path) => watchPath(path, reload));
  return {
    close() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** Calls `onSave` after each save of a file, there or not yet, or of anything in a folder. */
function watchPath(path: string, onSave: () => void): { close(): void } {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  let settling: NodeJS.Timeout | undefined;
  // The folder, for many editors put a new file in the old one's place.
  const watcher = watch(isFolder ? path : dirname(path), (_event, name) => {
    if (!isFolder && name !== basename(path)) return;
    clearTimeout(settling);
    settling = setTimeout(onSave, SETTLE_MS);
  });
  return {
    close() {
      clearTimeout(settling);
      watcher.close();
    },
  };
}
