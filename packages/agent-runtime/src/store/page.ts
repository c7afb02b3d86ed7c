/** A page of rows is limited by count, and by this. */
export const PAGE_BYTES = 1024 * 1024;

/** Returns how many of the rows fit into `bytes` and `limit`: at least one where there is one. */
export function countFitting(sizes: ReadonlyArray<{ bytes: number }>, limit: number, bytes: number): number {
  let left = bytes;
  let count = 0;
  for (const size of sizes.slice(0, limit)) {
    left -= size.bytes;
    if (left < 0 && count > 0) break;
    count++;
  }
  return count;
}
