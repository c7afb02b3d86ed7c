import { createFilter } from '@codelab/service-kit';

/** Creates a predicate: true for names that match one of `patterns`, where `*` stands for any run of characters. */
export function createNameFilter(patterns: string[]): (name: string) => boolean {
  return createFilter(patterns, '.*', 's');
}
