const TOTAL_BYTES = 64 * 1024 * 1024;

/** Limits the memory of all logs together: over the limit the least recently used ones are evicted. */
export interface LogBudget {
  /** Counts the growth of `log`, which was just used. */
  changed(log: { clear(): void }, bytes: number): void;
}

export function createLogBudget(limitBytes = TOTAL_BYTES): LogBudget {
  /** In order of use. */
  const sizes = new Map<{ clear(): void }, number>();
  let total = 0;
  return {
    changed(log, bytes) {
      total += bytes;
      const size = (sizes.get(log) ?? 0) + bytes;
      sizes.delete(log);
      if (size > 0) sizes.set(log, size);
      for (const other of sizes.keys()) {
        if (total <= limitBytes || other === log) break;
        other.clear();
      }
    },
  };
}
