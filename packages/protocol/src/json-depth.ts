/** Arguments and results of tools are nested at most so deep. */
export const MAX_VALUE_DEPTH = 200;

/** True where objects and arrays are nested in each other more than `depth` times. */
export function isDeeperThan(depth: number, value: unknown): boolean {
  let level = isNested(value) ? [value] : [];
  for (let at = 0; level.length > 0; at++) {
    if (at === depth) return true;
    const next: object[] = [];
    for (const each of level) for (const child of Object.values(each)) if (isNested(child)) next.push(child);
    level = next;
  }
  return false;
}

function isNested(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
