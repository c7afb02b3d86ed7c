const SLICE_MS = 10;

/** Lets others have their turn when this has gone on for 10 ms: to be awaited in a loop that may be long. */
export function createPacer(): () => Promise<void> | undefined {
  let since = performance.now();
  return () => {
    if (performance.now() - since < SLICE_MS) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        since = performance.now();
        resolve();
      }),
    );
  };
}
