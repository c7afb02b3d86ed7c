import type { CompiledQuery } from 'kysely';

/**
 * Compiles a statement once: from then on a call only brings its values, in the order in which they stand in it. Building and compiling
 * the statements of a commit anew cost about a tenth of agent-runtime's CPU. `build` may depend on its arguments only by those values.
 */
export function prepare<A extends unknown[]>(
  build: (...args: A) => CompiledQuery,
  valuesOf: (...args: A) => unknown[],
): (...args: A) => CompiledQuery {
  let prepared: CompiledQuery | undefined;
  return (...args) => {
    const parameters = valuesOf(...args);
    if (prepared === undefined) {
      prepared = build(...args);
      if (!isSame(prepared.parameters, parameters))
        throw new Error(`The values do not stand in the order of the statement: ${prepared.sql}`);
    }
    return { ...prepared, parameters };
  };
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, index) => Object.is(value, b[index]));
}
