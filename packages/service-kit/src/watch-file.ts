import { statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** An editor's save is several changes. */
const SETTLE_MS = 50;

/** Calls `onSave` after each save of a file, or of anything in a folder. */
export function watchSaves(path: string, onSave: () => void): { close(): void } {
  const isFolder = statSync(path).isDirectory();
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
