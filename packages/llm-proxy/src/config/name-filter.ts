import { createFilter } from '@codelab/service-kit';

/** Whether a name is one of `patterns`, where `*` stands for any run of characters. */
export function createNameFilter(patterns: string[]): (name: string) => boolean {
  return createFilter(patterns, '.*', 's');
}
